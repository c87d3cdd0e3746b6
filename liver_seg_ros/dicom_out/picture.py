# SPDX-License-Identifier: Apache-2.0
"""Pictures as secondary captures, for viewers that show pictures and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from highdicom.sc import SCImage
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian

from liver_seg_ros.dicom_out.equipment import common
from liver_seg_ros.dicom_out.reference import Reference

SERIES_NUMBER = 9004


def make_picture(reference: Reference, path: Path) -> SCImage:
    """The picture in the file at `path`, which must show no name of a patient."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    found = SCImage.from_ref_dataset(
        reference.first,
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **common(SERIES_NUMBER, f"picture {path.stem}"),
    )
    for unknown in ("PatientOrientation", "Laterality"):  # several views in one picture
        setattr(found, unknown, None)
    found.BurnedInAnnotation = "NO"
    return found
