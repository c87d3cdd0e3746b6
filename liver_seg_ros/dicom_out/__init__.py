# SPDX-License-Identifier: Apache-2.0
"""Results as DICOM objects of the patient's study: segmentation, measurements, surfaces, pictures, contours."""
