# SPDX-License-Identifier: Apache-2.0
"""Reading and writing: volumes, DICOM series, DICOM Segmentation objects, meshes. One file per subject."""
