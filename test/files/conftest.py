"""Small CTs and DICOM series for the tests of reading and writing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.volume import Volume

SIZE = (20, 18, 12)


def body_hu(size: tuple[int, int, int] = SIZE, seed: int = 7) -> np.ndarray:
    """`(K, J, I)` int16: noisy soft tissue in air, every slice different."""
    i, j, k = size
    array = np.random.default_rng(seed).normal(50, 15, (k, j, i))
    array[:, :3] = -1000
    array[:, -3:, : i // 2] = -100
    array[:, :, -2:] = 400 + 10 * np.arange(k)[:, None, None]
    return np.rint(array).astype(np.int16)


@pytest.fixture
def ct() -> Volume:
    """An oblique, anisotropic CT."""
    turn = np.deg2rad(20)
    direction = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    return Volume(body_hu(), Geometry(SIZE, (1.5, 1.75, 3.0), (-30.5, 12.25, 700.0), direction))


class DicomSeries:
    """A CT series in memory: change its slices as a test needs, then save it."""

    def __init__(self, hu: np.ndarray, spacing_mm: tuple[float, float, float] = (1.5, 1.25, 2.5)) -> None:
        self.hu = hu
        self.spacing_mm = spacing_mm
        self.uid = generate_uid()
        frame, study = generate_uid(), generate_uid()
        self.slices = [self._slice(k, frame, study) for k in range(len(hu))]

    def _slice(self, k: int, frame: str, study: str) -> FileDataset:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID, dataset.StudyInstanceUID = self.uid, frame, study
        dataset.SeriesDescription, dataset.InstanceNumber = "Abdomen", k + 1
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-20.0, -30.0, 100.0 + k * self.spacing_mm[2]]
        dataset.PixelSpacing = [self.spacing_mm[1], self.spacing_mm[0]]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.Rows, dataset.Columns = self.hu.shape[1:]
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.PixelData = (self.hu[k] + 1024).astype(np.int16).tobytes()
        return dataset

    def save(self, folder: Path, order: list[int] | None = None) -> Path:
        """Write the slices under names that say nothing about their order."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, k in enumerate(order or range(len(self.slices))):
            self.slices[k].save_as(folder / f"{self.uid[-6:]}_{number:03}.dcm")
        return folder


@pytest.fixture
def make_series() -> Callable[..., DicomSeries]:
    """Makes CT series of 5 slices unless another `hu` is given."""
    return lambda hu=None, **options: DicomSeries(body_hu((16, 12, 5)) if hu is None else hu, **options)
