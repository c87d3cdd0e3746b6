# SPDX-License-Identifier: Apache-2.0
"""What names of volume files end with; apart from `volumes`, so that who looks at names alone imports no library."""

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
