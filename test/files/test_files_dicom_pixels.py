"""Pixels of DICOM slices: HU are stored values times slope plus intercept, however they are stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from liver_seg_ros.files.dicom import read_series
from liver_seg_ros.files.dicom_codec import codestream_size
from liver_seg_ros.files.volumes import read_volume

Fixture = Callable[..., "object"]  # see conftest.py


def test_slope_that_changes_from_slice_to_slice(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        slope, intercept = 0.5 + 0.25 * k, -1100 + k
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.PixelData = np.rint((series.hu[k] - intercept) / slope).astype(np.int16).tobytes()
    volume = read_volume(series.save(tmp_path))
    assert np.abs(volume.array.astype(int) - series.hu).max() <= 1


def test_unsigned_twelve_bits(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
        dataset.PixelData = (series.hu[k] + 1024).astype(np.uint16).tobytes()
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_monochrome1_changes_the_display_only(faults: Path) -> None:
    coded = read_volume(faults / "monochrome1_jpegls")
    plain = read_volume(faults / "monochrome1_plain")
    assert coded.array[0, 35, 40] == 46
    assert (coded.array == plain.array).all()
    stored = [
        np.frombuffer(dcmread(path).PixelData, "<u2") for path in sorted((faults / "monochrome1_plain").iterdir())
    ]
    assert (plain.array.reshape(2, -1) == np.array(stored).astype(int) - 1024).all()


def compress(path: Path, kind: str) -> None:
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


WAYS = ("explicit", "implicit", "big endian", "RLE", "JPEG", "JPEG2000")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    way=st.sampled_from(WAYS),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    bits=st.integers(10, 16),
    is_signed=st.booleans(),
    slope=st.sampled_from([1.0, 0.5, 2.0]),
    intercept=st.sampled_from([0.0, -1024.0, -1000.5]),
)
def test_hu_are_slope_times_stored_plus_intercept(
    tmp_path: Path,
    make_series: Fixture,
    way: str,
    photometric: str,
    bits: int,
    is_signed: bool,
    slope: float,
    intercept: float,
) -> None:
    """Stored values from one end of their range to the other, in every way to store them."""
    least = -(1 << (bits - 1)) if is_signed else 0
    stored = np.linspace(least, least + (1 << bits) - 1, 2 * 32 * 32).astype(int).reshape(2, 32, 32)
    hu = stored * slope + intercept
    stored = np.where((hu >= -2000) & (hu <= 3000), stored, round(-intercept / slope) if not is_signed else 0)
    series = make_series(hu=stored.astype(np.int16))
    for path in tmp_path.iterdir():
        path.unlink()
    for k, dataset in enumerate(series.slices):
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = photometric, int(is_signed)
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        order = ">" if way == "big endian" else "<"
        dataset.PixelData = stored[k].astype(f"{order}{'i' if is_signed else 'u'}2").tobytes()
        dataset.file_meta.TransferSyntaxUID = {
            "implicit": ImplicitVRLittleEndian, "big endian": ExplicitVRBigEndian,
        }.get(way, ExplicitVRLittleEndian)  # fmt: skip
        dcmwrite(tmp_path / f"{k}.dcm", dataset)
        if way not in WAYS[:3]:
            compress(tmp_path / f"{k}.dcm", way)
    array, _, _ = read_series(tmp_path)
    assert np.abs(array - (stored * slope + intercept)).max() <= 0.5


def test_bits_above_those_stored_mean_nothing(tmp_path: Path, make_series: Fixture) -> None:
    """Old files keep an overlay there."""
    series = make_series()
    for k, dataset in enumerate(series.slices):
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, k % 2
        stored = series.hu[k] + 1024 if not k % 2 else series.hu[k]
        dataset.RescaleIntercept = -1024 * (1 - k % 2)
        overlay = np.uint16(0xA000) * (np.indices(stored.shape).sum(axis=0) % 2).astype(np.uint16)
        dataset.PixelData = ((stored.astype(np.uint16) & 0x0FFF) | overlay).tobytes()
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_eight_bits(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0
        dataset.RescaleSlope, dataset.RescaleIntercept = 8, -1000
        stored = np.rint((series.hu[k] + 1000) / 8).astype(np.uint8)
        series.hu[k] = stored * 8.0 - 1000
        dataset.PixelData = stored.tobytes()
        dataset["PixelData"].VR = "OB"
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_compression_that_cannot_be_decoded(tmp_path: Path, make_series: Fixture, capfd, refused: Fixture) -> None:
    make_series().save(tmp_path)
    path = sorted(tmp_path.iterdir())[2]
    compress(path, "JPEG2000")
    dataset = dcmread(path)
    dataset.PixelData = dataset.PixelData[:60] + bytes(len(dataset.PixelData) - 60)
    dataset.save_as(path)
    refused(tmp_path, path.name, "decoded")
    assert capfd.readouterr() == ("", "")


def test_color(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    for dataset in series.slices:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    refused(series.save(tmp_path), "color")


def test_values_that_are_not_hu(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    for dataset in series.slices:
        dataset.RescaleType = "Z_EFF"
    refused(series.save(tmp_path), "Z_EFF, not HU")


def test_rescale_that_was_lost(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    for dataset in series.slices:
        del dataset.RescaleIntercept
    refused(series.save(tmp_path), "intercept was not applied")


def shift_up(dataset: Dataset) -> None:
    dataset.BitsStored, dataset.HighBit = 12, 15


def use_a_table(dataset: Dataset) -> None:
    del dataset.RescaleSlope
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [1, 0, 16], "HU"
    dataset.ModalityLUTSequence = [table]


def lose_slope(dataset: Dataset) -> None:
    dataset.RescaleSlope = 0


def claim_more_rows(dataset: Dataset) -> None:
    dataset.Rows = 13


def claim_fewer_rows(dataset: Dataset) -> None:
    dataset.Rows = 11


def claim_no_rows(dataset: Dataset) -> None:
    dataset.Rows = 0


def claim_memory(dataset: Dataset) -> None:
    dataset.Rows = dataset.Columns = 60000


def claim_frames(dataset: Dataset) -> None:
    dataset.NumberOfFrames = 2


def lose_pixels(dataset: Dataset) -> None:
    dataset.add_new("PixelData", "OW", b"")


def lose_bits(dataset: Dataset) -> None:
    del dataset.BitsAllocated


def claim_floats(dataset: Dataset) -> None:
    dataset.add_new(0x7FE00008, "OF", bytes(4 * 12 * 16))
    del dataset.PixelData


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shift_up, "stores 12 bits below bit 16"),
        (use_a_table, "has a table (Modality LUT)"),
        (lose_slope, "RescaleSlope is 0"),
        (claim_more_rows, "holds 384 bytes of pixels, and its 16 x 13 pixels of 1 frames need 416"),
        (claim_fewer_rows, "holds 384 bytes of pixels, and its 16 x 11 pixels of 1 frames need 352"),
        (claim_no_rows, "claims 0 x 16 pixels"),
        (claim_memory, "claims 60000 x 60000 pixels"),
        (claim_frames, "holds several frames"),
        (lose_pixels, "holds 0 bytes of pixels"),
        (lose_bits, "its pixels are cut off or cannot be decoded"),
        (claim_floats, "has no pixels"),
    ],
)
def test_what_a_file_claims_of_its_pixels_must_hold(
    tmp_path: Path, make_series: Fixture, refused: Fixture, change: Callable, words: str
) -> None:
    series = make_series()
    for dataset in series.slices:
        change(dataset)
    refused(series.save(tmp_path), "_000.dcm", words)


def test_padding_after_the_pixels_is_none(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    for dataset in series.slices:
        dataset.PixelData += bytes(30)
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


@pytest.mark.parametrize("coded", [True, False])
def test_a_transfer_syntax_that_lies(tmp_path: Path, make_series: Fixture, refused: Fixture, coded: bool) -> None:
    series = make_series()
    series.save(tmp_path)
    path = sorted(tmp_path.iterdir())[3]
    if coded:
        compress(path, "JPEG2000")
    dcmwrite(path, dcmread(path), enforce_file_format=True, overwrite=True)
    data = path.read_bytes()
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if coded else JPEG2000Lossless
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM")
        write_file_meta_info(file, meta, enforce_standard=False)
        file.write(data[144 + int.from_bytes(data[140:144], "little") :])
    refused(tmp_path, path.name, "are compressed, which" if coded else "are uncompressed (JPEG 2000")


def jpeg_ls(faults: Path) -> tuple[Dataset, bytes]:
    dataset = dcmread(sorted((faults / "monochrome1_jpegls").iterdir())[0])
    return dataset, get_frame(dataset.PixelData, 0, number_of_frames=1)


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        (70, 60, "hold a picture of 70 x 80 pixels, not 70 x 60"),
        (90, 80, "hold a picture of 70 x 80 pixels, not 90 x 80"),
    ],
)
def test_a_codestream_of_another_size(
    tmp_path: Path, faults: Path, refused: Fixture, rows: int, columns: int, words: str
) -> None:
    for k, path in enumerate(sorted((faults / "monochrome1_jpegls").iterdir())):
        dataset = dcmread(path)
        dataset.Rows, dataset.Columns = rows, columns
        dataset.save_as(tmp_path / f"{k}.dcm")
    refused(tmp_path, "0.dcm", words)


def test_a_codestream_that_claims_memory_is_not_decoded(tmp_path: Path, faults: Path, refused: Fixture) -> None:
    for k in range(2):
        dataset, code = jpeg_ls(faults)
        dataset.ImagePositionPatient = [0, 0, 10 * k]
        at = code.index(b"\xff\xf7") + 5
        dataset.PixelData = encapsulate([code[:at] + (60000).to_bytes(2, "big") * 2 + code[at + 4 :]])
        dataset.save_as(tmp_path / f"{k}.dcm")
    refused(tmp_path, "0.dcm", "hold a picture of 60000 x 60000 pixels")


def test_the_size_that_a_codestream_says_it_has(tmp_path: Path, make_series: Fixture, faults: Path) -> None:
    _, code = jpeg_ls(faults)
    assert codestream_size(code) == (70, 80)
    marker = code.index(b"\xff\xf7")
    assert codestream_size(code[:marker] + b"\xff\xfe\0\x04ab\xff\xff" + code[marker:]) == (70, 80)  # comment, fill
    assert codestream_size(code[:marker] + b"\xff\xc4\0\x04ab" + code[marker:]) == (70, 80)  # tables are no frame
    assert all(codestream_size(code[:length]) is None for length in range(marker + 9))
    assert codestream_size(code[:2] + b"ab" + code[4:]) is None
    for kind in ("JPEG", "JPEG2000"):
        make_series().save(tmp_path / kind)
        path = next((tmp_path / kind).iterdir())
        compress(path, kind)
        assert codestream_size(get_frame(dcmread(path).PixelData, 0, number_of_frames=1)) == (12, 16)
