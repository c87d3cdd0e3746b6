# SPDX-License-Identifier: Apache-2.0
"""CT series of a known patient in any orientation, small labels for them, and the validator of objects."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.volume import LabelVolume, Volume

PATIENT = "Doe^Unmistakable"


def item(**attributes: object) -> Dataset:
    dataset = Dataset()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def study(sop_class: str) -> FileDataset:
    """An object with all that one of a study has to have."""
    dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = (
        PATIENT,
        "P7",
        "19500101",
        "F",
    )
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber = "20260101", "120000", "1", "A1"
    dataset.ReferringPhysicianName, dataset.Manufacturer = "", "none"
    dataset.Modality, dataset.SeriesNumber = "CT", 1
    return dataset


def write_ct(
    folder: Path,
    axes: np.ndarray | None = None,
    origin: tuple[float, float, float] = (-20.0, -30.0, 100.0),
    spacing_mm: tuple[float, float, float] = (1.5, 1.25, 2.5),
    shape: tuple[int, int, int] = (5, 12, 16),
    order: list[int] | None = None,
    enhanced: bool = False,
    tilt_mm: float = 0.0,
) -> Path:
    """Write a CT whose slices lie at `origin + k * spacing * normal`, its files or frames in any `order`."""
    axes = np.eye(3) if axes is None else axes
    hu = np.random.default_rng(7).normal(50, 15, shape).astype(np.int16)
    study_uid, series_uid, frame_uid = generate_uid(), generate_uid(), generate_uid()
    orientation = [round(float(v), 10) for v in (*axes[:, 0], *axes[:, 1])]
    positions = [
        [round(float(v), 8) for v in np.array(origin) + k * (spacing_mm[2] * axes[:, 2] + tilt_mm * axes[:, 1])]
        for k in range(shape[0])
    ]
    order = list(range(shape[0])) if order is None else order
    folder.mkdir(parents=True)

    def common(dataset: FileDataset) -> FileDataset:
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = (
            study_uid,
            series_uid,
            frame_uid,
        )
        dataset.PositionReferenceIndicator = ""
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.Rows, dataset.Columns = shape[1:]
        return dataset

    if enhanced:
        dataset = common(study(EnhancedCTImageStorage))
        dataset.ImageType, dataset.NumberOfFrames = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], shape[0]
        dataset.SharedFunctionalGroupsSequence = [
            item(
                PixelMeasuresSequence=[item(PixelSpacing=[spacing_mm[1], spacing_mm[0]], SliceThickness=spacing_mm[2])],
                PlaneOrientationSequence=[item(ImageOrientationPatient=orientation)],
                PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=0, RescaleType="HU")],
            )
        ]
        dataset.PerFrameFunctionalGroupsSequence = [
            item(
                PlanePositionSequence=[item(ImagePositionPatient=positions[k])],
                FrameContentSequence=[item(FrameAcquisitionNumber=1)],
            )
            for k in order
        ]
        dataset.PixelData = hu[order].tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.save_as(folder / "ct.dcm")
        return folder
    for number, k in enumerate(order):
        dataset = common(study(CTImageStorage))
        dataset.ImageType, dataset.InstanceNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], number + 1
        dataset.ImageOrientationPatient, dataset.ImagePositionPatient = orientation, positions[k]
        dataset.PixelSpacing, dataset.SliceThickness = [spacing_mm[1], spacing_mm[0]], spacing_mm[2]
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        dataset.PixelData = hu[k].tobytes()
        dataset.save_as(folder / f"{number:03}.dcm")
    return folder


@pytest.fixture(scope="session")
def make_ct() -> Callable[..., Path]:
    """See `write_ct`."""
    return write_ct


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    """An oblique CT read from single slices."""
    turn = np.deg2rad(20)
    axes = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    return read_volume(write_ct(tmp_path_factory.mktemp("oblique") / "ct", axes, order=[3, 0, 4, 1, 2]))


@pytest.fixture(scope="module")
def labels(ct: Volume) -> LabelVolume:
    """A liver with a vessel and two lesions in it, and a kidney beside it."""
    array = np.zeros(ct.array.shape, np.uint8)
    array[1:5, 1:11, 1:12] = 1
    array[2, 4:7, 4:8] = 2
    array[3, 8, 9:11] = 2
    array[2:4, 2, 3:9] = 3
    array[0:3, 3:6, 13:15] = 15
    return LabelVolume(array, ct.geometry, ct.uid)


@pytest.fixture(scope="session")
def faults() -> Callable[[Path], list[str]]:
    """What `dciodvfy` finds wrong with an object, besides what only a DICOMDIR would need."""

    def find(path: Path) -> list[str]:
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr, "dciodvfy names the object at least"
        return [line for line in done.stderr.splitlines() if line.startswith("Error")]

    return find
