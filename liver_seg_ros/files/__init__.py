"""Reading and writing: volumes, DICOM series, DICOM Segmentation objects, meshes. One file per subject."""
