# SPDX-License-Identifier: Apache-2.0
"""Small CTs and DICOM series for the tests of reading and writing."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import read_volume
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


def hu_at(places_mm: np.ndarray) -> np.ndarray:
    """HU of an imagined body at LPS places `(..., 3)`: by them a voxel tells where it was taken."""
    return 60 + (places_mm - [-10.0, -20.0, 105.0]) @ [4.0, 6.0, 5.0]


@pytest.fixture
def check_places() -> Callable[[Volume], None]:
    """Fails unless every voxel of a volume holds the HU of its own place."""

    def check(volume: Volume) -> None:
        k, j, i = np.indices(volume.array.shape).reshape(3, -1)
        places = volume.geometry.index_to_lps(np.stack([i, j, k], axis=1))
        assert np.abs(volume.array[k, j, i] - hu_at(places)).max() <= 0.5 + 1e-4

    return check


@pytest.fixture
def place() -> Callable[..., DicomSeries]:
    """Lays a series along axes (columns i, j, k) from an origin and fills its pixels with the HU of their places."""

    def laid(series: DicomSeries, axes: np.ndarray | None = None, origin: tuple = (-20.0, -30.0, 100.0)) -> DicomSeries:
        axes = np.eye(3) if axes is None else axes
        j, i = np.indices(series.hu.shape[1:])
        for k, dataset in enumerate(series.slices):
            corner = np.array(origin) + axes[:, 2] * k * series.spacing_mm[2]
            dataset.ImageOrientationPatient = [*axes[:, 0].tolist(), *axes[:, 1].tolist()]
            dataset.ImagePositionPatient = [round(float(v), 6) for v in corner]
            pixels = i[..., None] * series.spacing_mm[0] * axes[:, 0] + j[..., None] * series.spacing_mm[1] * axes[:, 1]
            hu = np.rint(hu_at(corner + pixels))
            dataset.PixelData = (hu + 1024).astype(np.int16).tobytes()
        return series

    return laid


def item(**attributes: object) -> list[Dataset]:
    """A sequence of one item with these attributes."""
    dataset = Dataset()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return [dataset]


@pytest.fixture
def make_enhanced() -> Callable[..., FileDataset]:
    """Makes one enhanced CT of slices: what differs between them, per frame; the frames in the order given."""

    def make(slices: list[FileDataset]) -> FileDataset:
        enhanced = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
        enhanced.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        enhanced.SOPClassUID = enhanced.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        enhanced.SOPInstanceUID = enhanced.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        enhanced.Modality, enhanced.ImageType = "CT", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        first = slices[0]
        for name in (
            "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "SeriesDescription", "SamplesPerPixel",
            "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "Rows",
            "Columns",
        ):  # fmt: skip
            if name in first:
                enhanced[name] = first[name]
        enhanced.NumberOfFrames = len(slices)
        shared = item(
            PixelMeasuresSequence=item(PixelSpacing=first.PixelSpacing, SliceThickness=2.5),
            PlaneOrientationSequence=item(ImageOrientationPatient=first.ImageOrientationPatient),
            CTImageFrameTypeSequence=item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]),
            CTReconstructionSequence=item(ConvolutionKernel="B30f"),
        )
        enhanced.SharedFunctionalGroupsSequence = shared
        enhanced.PerFrameFunctionalGroupsSequence = [
            item(
                PlanePositionSequence=item(ImagePositionPatient=part.ImagePositionPatient),
                PixelValueTransformationSequence=item(
                    RescaleSlope=part.RescaleSlope, RescaleIntercept=part.RescaleIntercept, RescaleType="HU"
                ),
                FrameContentSequence=item(FrameAcquisitionNumber=1),
            )[0]
            for part in slices
        ]
        enhanced.PixelData = b"".join(part.PixelData for part in slices)
        enhanced["PixelData"].VR = "OW"
        return enhanced

    return make


def file_bytes(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A DICOM file of a dataset in little endian: preamble, "DICM", meta information, dataset."""
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        dataset = dataset.copy()
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def dataset_bytes(dataset: Dataset, syntax: str) -> bytes:
    """The dataset alone."""
    data = file_bytes(dataset, syntax)
    return data[144 + int.from_bytes(data[140:144], "little") :]


# How DICOM files come, rightly or not, as bytes of a dataset.
FORMS = {
    "whole": file_bytes,
    "no preamble": lambda d: file_bytes(d)[132:],
    "no preamble, implicit": lambda d: file_bytes(d, ImplicitVRLittleEndian)[132:],
    "no preamble, big endian": lambda d: file_bytes(d, ExplicitVRBigEndian)[132:],
    "DICM first": lambda d: file_bytes(d)[128:],
    "preamble without DICM": lambda d: file_bytes(d)[:128] + file_bytes(d)[132:],
    "preamble of text": lambda d: b"II*\0 once a TIFF".ljust(128, b"x") + file_bytes(d)[128:],
    "no meta, explicit": lambda d: dataset_bytes(d, ExplicitVRLittleEndian),
    "no meta, implicit": lambda d: dataset_bytes(d, ImplicitVRLittleEndian),
    "no meta, big endian": lambda d: dataset_bytes(d, ExplicitVRBigEndian),
    "DICM without meta": lambda d: b"DICM" + dataset_bytes(d, ExplicitVRLittleEndian),
    "preamble and DICM without meta": lambda d: bytes(128) + b"DICM" + dataset_bytes(d, ImplicitVRLittleEndian),
    "preamble alone without meta": lambda d: bytes(128) + dataset_bytes(d, ImplicitVRLittleEndian),
    "implicit": lambda d: file_bytes(d, ImplicitVRLittleEndian),
    "big endian": lambda d: file_bytes(d, ExplicitVRBigEndian),
    "deflated": lambda d: file_bytes(d, DeflatedExplicitVRLittleEndian),
}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Callable[[Dataset], bytes]:
    """One of `FORMS` after the other."""
    return FORMS[request.param]


@pytest.fixture
def forms() -> dict[str, Callable[[Dataset], bytes]]:
    """See `FORMS`."""
    return FORMS


def _compress(path: Path, kind: str) -> None:
    """Compress one slice losslessly with GDCM, keeping its attributes."""
    dataset = dcmread(path)
    if kind == "RLE":
        dataset.compress(RLELossless)
        dataset.save_as(path)
        return
    image = SimpleITK.GetImageFromArray(dataset.pixel_array[None])
    writer = SimpleITK.ImageFileWriter()
    writer.SetFileName(str(path.with_suffix(".compressed.dcm")))
    writer.UseCompressionOn()
    writer.SetCompressor(kind)
    writer.Execute(image)
    encoded = dcmread(path.with_suffix(".compressed.dcm"))
    path.with_suffix(".compressed.dcm").unlink()
    assert encoded.file_meta.TransferSyntaxUID.is_encapsulated
    dataset.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID
    dataset.PixelData = encoded.PixelData
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.save_as(path)


@pytest.fixture
def compress() -> Callable[[Path, str], None]:
    """See `_compress`."""
    return _compress


@pytest.fixture
def refused() -> Callable[..., str]:
    """Fails unless a CT is refused in one line with these words; gives the line."""

    def check(path: Path, *words: str, **options: str) -> str:
        with pytest.raises(InputError) as caught:
            read_volume(path, **options)
        line = str(caught.value)
        assert "\n" not in line
        for word in words:
            assert word in line, line
        return line

    return check
