# SPDX-License-Identifier: Apache-2.0
"""A synthetic CT as a DICOM series, one file per slice as scanners send it: for PACS, receivers and robots without a
patient to try them on.

Every file says that its data are synthetic (Synthetic Data (0008,001C), PS3.3 C.12.1), who made it, and nothing of
anyone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from liver_seg_ros import __version__
from liver_seg_ros.volume import Volume

_MAKER = "liver_seg_ros"
#: DICOM's decimal strings have 16 characters.
_DECIMALS = 8


def slice_names(count: int) -> list[str]:
    """The files of a series of `count` slices, in the order of the array's k."""
    return [f"{number:04}.dcm" for number in range(1, count + 1)]


def write_synthetic_series(folder: Path, ct: Volume, name: str, description: str) -> None:
    """Write a CT series into `folder`, which is there; its files are called as `slice_names` says.

    Args:
        folder: one file after another is written, so of a `ResultFolder`, which shows all of them together.
        ct: of any orientation. The same voxels on the same grid get the same UIDs again.
        name: the patient's, and its ID.
        description: of the series.

    Raises:
        OSError: there is no space.
    """
    made = datetime.now(tz=timezone.utc)
    grid, axes = ct.geometry, ct.geometry.direction_matrix
    where = f"{grid.spacing_mm} {grid.origin_mm} {grid.direction}"
    content = [sha256(ct.array.tobytes()).hexdigest(), where, name]
    study, series, frame = (generate_uid(entropy_srcs=[*content, what]) for what in ("study", "series", "frame"))
    positions = np.array(grid.origin_mm) + np.arange(len(ct.array))[:, None] * grid.spacing_mm[2] * axes[:, 2]
    for k, file_name in enumerate(slice_names(len(ct.array))):
        dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        uid = generate_uid(entropy_srcs=[series, str(k)])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName = dataset.PatientID = name
        dataset.PatientBirthDate = dataset.PatientSex = ""
        dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = made.strftime("%Y%m%d")
        dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = made.strftime("%H%M%S")
        dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
        dataset.PositionReferenceIndicator = dataset.Laterality = ""
        dataset.StudyID, dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = "1", 1, 1, k + 1
        dataset.ImagesInAcquisition = len(ct.array)
        dataset.SeriesDescription, dataset.SyntheticData = description, "YES"
        dataset.Manufacturer, dataset.ManufacturerModelName, dataset.SoftwareVersions = _MAKER, "phantom", __version__
        dataset.Modality, dataset.ImageType, dataset.KVP = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], None
        dataset.PatientPosition, dataset.BurnedInAnnotation = "HFS", "NO"
        dataset.ImagePositionPatient = _decimals(positions[k])
        dataset.ImageOrientationPatient = _decimals((*axes[:, 0], *axes[:, 1]))
        column_mm, row_mm, slice_mm = _decimals(grid.spacing_mm)
        dataset.PixelSpacing, dataset.SliceThickness = [row_mm, column_mm], slice_mm
        dataset.SpacingBetweenSlices = slice_mm
        dataset.Rows, dataset.Columns = ct.array.shape[1:]
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "HU"
        dataset.WindowCenter, dataset.WindowWidth = 60, 400
        dataset.PixelData = ct.array[k].astype("<i2").tobytes()
        dataset.save_as(folder / file_name, enforce_file_format=True)


def _decimals(values: Iterable[float]) -> list[float]:
    return [round(float(value), _DECIMALS) for value in values]
