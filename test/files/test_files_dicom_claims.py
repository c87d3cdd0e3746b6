# SPDX-License-Identifier: Apache-2.0
"""What a DICOM file claims of its pixels is held against what it has, before memory is spent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from liver_seg_ros.files.dicom_codec import codestream_size
from liver_seg_ros.files.volumes import read_volume

Fixture = Callable[..., "object"]  # see conftest.py


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
        (lose_bits, "has no BitsAllocated; this is no CT slice"),
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


def test_how_a_picture_is_shown_is_of_no_account(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    for dataset in series.slices:
        del dataset.PhotometricInterpretation, dataset.SamplesPerPixel, dataset.HighBit
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()
    series.slices[2].PhotometricInterpretation = "PALETTE COLOR"
    refused(series.save(tmp_path), "_002.dcm: is a color picture")


def test_a_length_beyond_the_file(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    """What is there counts, not what the element claims."""
    series = make_series()
    series.save(tmp_path)
    path = sorted(tmp_path.iterdir())[4]
    data = path.read_bytes()
    claimed = data.replace(b"OW\0\0\x80\1\0\0", b"OW\0\0\xf0\xff\xff\xff")
    assert claimed != data
    path.write_bytes(claimed)
    assert (read_volume(tmp_path).array == series.hu).all()
    path.write_bytes(claimed[:-2])
    refused(tmp_path, path.name, "holds 382 bytes")


def test_a_compression_that_nobody_decodes(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    for dataset in series.slices:
        dataset.compress(RLELossless)
    series.save(tmp_path)
    path = sorted(tmp_path.iterdir())[0]
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.9.9\0", 1))
    refused(tmp_path, path.name, "its transfer syntax (1.2.840.10008.1.9.9) cannot be decoded")


def test_padding_after_the_pixels_is_none(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    for dataset in series.slices:
        dataset.PixelData += bytes(30)
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


@pytest.mark.parametrize("coded", [True, False])
def test_a_transfer_syntax_that_lies(
    tmp_path: Path, make_series: Fixture, refused: Fixture, compress: Fixture, coded: bool
) -> None:
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


def test_the_size_that_a_codestream_says_it_has(
    tmp_path: Path, make_series: Fixture, faults: Path, compress: Fixture
) -> None:
    _, code = jpeg_ls(faults)
    assert codestream_size(code) == (70, 80)
    marker = code.index(b"\xff\xf7")
    assert codestream_size(code[:marker] + b"\xff\xfe\0\x04ab\xff\xff" + code[marker:]) == (70, 80)  # comment, fill
    assert codestream_size(code[:marker] + b"\xff\xc4\0\x04ab" + code[marker:]) == (70, 80)  # tables are no frame
    assert all(codestream_size(code[:length]) is None for length in range(marker + 9))
    assert codestream_size(code[:2] + b"ab" + code[4:]) is None
    assert codestream_size(b"ab" + code[2:]) is None
    for kind in range(0xC0, 0xD1):
        is_frame = kind not in (0xC4, 0xC8, 0xCC, 0xD0)
        frame = bytes([0xFF, kind, 0, 11, 16, 0, 3, 0, 4, 1, 1, 0x11, 0])
        assert codestream_size(b"\xff\xd8" + frame + code[2:]) == ((3, 4) if is_frame else (70, 80)), hex(kind)
    for kind in ("JPEG", "JPEG2000"):
        make_series().save(tmp_path / kind)
        path = next((tmp_path / kind).iterdir())
        compress(path, kind)
        assert codestream_size(get_frame(dcmread(path).PixelData, 0, number_of_frames=1)) == (12, 16)
