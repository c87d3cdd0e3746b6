# SPDX-License-Identifier: Apache-2.0
"""MetaImage from bytes written here, field by field: what is stored is not what is meant, and the header says so."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.files import metaimage
from liver_seg_ros.files.itk import read_itk
from liver_seg_ros.files.volumes import read_labels, read_volume
from liver_seg_ros.volume import Volume

# https://itk.org/Wiki/ITK/MetaIO/Documentation
TYPES = {
    "u1": "MET_UCHAR", "i1": "MET_CHAR", "u2": "MET_USHORT", "i2": "MET_SHORT", "u4": "MET_UINT", "i4": "MET_INT",
    "u8": "MET_ULONG_LONG", "i8": "MET_LONG_LONG", "f4": "MET_FLOAT", "f8": "MET_DOUBLE",
}  # fmt: skip


def write_metaimage(
    path: Path, stored: np.ndarray, order: str = "<", compress: bool = False, **changed: object
) -> None:
    """Write `stored` `(K, J, I)`; `changed` replaces fields of the header, None leaves one out."""
    data = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    fields: dict[str, Any] = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": order == ">",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "-20 10 300",
        "ElementSpacing": "2 3 4",
        "DimSize": " ".join(map(str, stored.shape[::-1])),
        "ElementType": TYPES[stored.dtype.str[1:]],
    }
    if compress:
        data = zlib.compress(data)
        fields |= {"CompressedData": "True", "CompressedDataSize": len(data)}
    fields |= changed
    lines = [f"{name} = {value}\n" for name, value in fields.items() if value is not None]
    path.write_bytes("".join(lines).encode() + b"ElementDataFile = LOCAL\n" + data)


def scaling(slope: float, offset: float) -> dict[str, float]:
    return {"ElementToIntensityFunctionSlope": slope, "ElementToIntensityFunctionOffset": offset}


def stored_for(values: np.ndarray, dtype: str, slope: float, offset: float) -> np.ndarray:
    """What a file must store as `dtype` so that slope and offset give `values` as nearly as it can."""
    exact = (values - offset) / slope
    if dtype.startswith("f"):
        return exact.astype(dtype)
    bounds = np.iinfo(dtype)
    return np.clip(np.rint(exact), max(bounds.min, -(2**40)), min(bounds.max, 2**40)).astype(dtype)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("dtype", "slope", "offset"),
    [
        ("i2", 2.0, 0.0),
        ("i2", 1.0, -100.0),
        ("u2", 1.0, -1024.0),
        ("u2", 0.25, -8192.0),
        ("u1", 10.0, -1000.0),
        ("i4", 0.001, 0.0),
        ("u4", 1.0, -32768.0),
        ("i8", 3.0, 7.0),
        ("f4", 1000.0, -1000.0),
        ("f8", 0.125, 10.0),
    ],
)
def test_hu_are_slope_times_stored_plus_offset(
    tmp_path: Path, ct: Volume, order: str, compress: bool, dtype: str, slope: float, offset: float
) -> None:
    stored = stored_for(ct.array, dtype, slope, offset)
    write_metaimage(tmp_path / "ct.mha", stored, order, compress, **scaling(slope, offset))
    meant = stored.astype(float) * slope + offset
    assert np.abs(meant - stored).max() > 3  # else the test would not see a slope that is left out
    read = read_volume(tmp_path / "ct.mha")
    assert np.abs(read.array - meant).max() <= 0.501
    assert np.allclose(read.geometry.index_to_lps((1, 2, 3)), (-20 + 2, 10 + 6, 300 + 12))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(sorted(TYPES)),
    order=st.sampled_from("<>"),
    compress=st.booleans(),
    slope=st.floats(0.01, 100.0),
    offset=st.floats(-5000, 5000),
    seed=st.integers(0, 99),
)
def test_any_type_slope_and_offset(
    tmp_path: Path, dtype: str, order: str, compress: bool, slope: float, offset: float, seed: int
) -> None:
    stored = stored_for(np.random.default_rng(seed).integers(-1024, 3000, (2, 3, 4)), dtype, slope, offset)
    write_metaimage(tmp_path / "any.mha", stored, order, compress, **scaling(slope, offset))
    read, _, _ = read_itk(tmp_path / "any.mha")
    assert np.allclose(read, stored.astype(float) * slope + offset, rtol=1e-6, atol=0.01)


@pytest.mark.parametrize(("dtype", "slope", "offset"), [("i2", 0.5, 0.0), ("u1", 1.0, -7.0), ("f4", 3.0, 0.0)])
def test_labels_that_are_whole_after_scaling(tmp_path: Path, dtype: str, slope: float, offset: float) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (9, 10, 11))
    write_metaimage(tmp_path / "l.mha", stored_for(labels, dtype, slope, offset), **scaling(slope, offset))
    assert (read_labels(tmp_path / "l.mha").array == labels).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ElementSpacing": None}, "no spacing"),
        ({"DistanceUnits": "cm"}, "axes are in cm"),
        ({"DistanceUnits": "um"}, "axes are in um"),
        ({"BinaryData": "False"}, "as text"),
        ({"ElementType": "MET_LONG"}, "MET_LONG"),
        ({"ElementType": "MET_ULONG"}, "MET_ULONG"),
        ({"ElementType": "MET_OTHER"}, "unusable"),
        ({"ElementToIntensityFunctionSlope": "two"}, "unusable"),
        ({"HeaderSize": 10}, "unusable"),
        ({"NDims": 4}, "unusable"),
        ({"DimSize": "20 18 -12"}, "unusable"),
        ({"DimSize": "20 18 13"}, "cut off or damaged.*20x18x13"),
        ({"DimSize": "20000 18000 12000"}, "cut off or damaged.*20000x18000x12000 voxels of 2 bytes, more than"),
    ],
)
def test_headers_that_do_not_say_what_voxels_mean(tmp_path: Path, ct: Volume, changed: dict, words: str, capfd) -> None:
    path = tmp_path / "ct.mha"
    write_metaimage(path, ct.array, **changed)
    for read in (read_volume, read_labels):
        with pytest.raises(InputError, match=words) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "changed",
    [
        {"ElementSpacing": None, "ElementSize": "2 3 4"},
        {"DistanceUnits": "mm"},
        {"BinaryData": None},
        {"HeaderSize": -1},
        {"Comment": "anything"},
    ],
)
def test_headers_that_do(tmp_path: Path, ct: Volume, changed: dict) -> None:
    write_metaimage(tmp_path / "ct.mha", ct.array, **changed)
    read = read_volume(tmp_path / "ct.mha")
    assert (read.array == ct.array).all()
    assert read.geometry.spacing_mm == (2, 3, 4)


@pytest.mark.parametrize(("skipped", "size"), [(0, 0), (7, 7), (-1, 7)])
def test_data_file_with_a_header_of_its_own(tmp_path: Path, ct: Volume, skipped: int, size: int) -> None:
    header, data = tmp_path / "ct.mhd", tmp_path / "ct.raw"
    write_metaimage(header, ct.array, HeaderSize=skipped)
    text, _, voxels = header.read_bytes().partition(b"LOCAL\n")
    header.write_bytes(text + b"ct.raw\n")
    data.write_bytes(b"x" * size + voxels)
    assert (read_volume(header).array == ct.array).all()
    data.write_bytes(data.read_bytes()[:-1])
    if skipped >= 0:
        with pytest.raises(InputError, match="cut off"):
            read_volume(header)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"CompressedDataSize": None}, "CompressedDataSize"),
        ({"CompressedDataSize": 17}, "cut off or damaged"),
        ({"CompressedDataSize": 10**12}, "cut off or damaged"),
        ({"DimSize": "20 18 11"}, "cut off or damaged"),
        ({"DimSize": "20 18 13"}, "cut off or damaged"),
        ({"DimSize": "2000 1800 1200"}, "more than the file can hold"),
    ],
)
def test_compressed_voxels_of_another_length(tmp_path: Path, ct: Volume, change: dict, words: str, capfd) -> None:
    write_metaimage(tmp_path / "ct.mha", ct.array, compress=True, **change)
    with pytest.raises(InputError, match=words):
        read_volume(tmp_path / "ct.mha")
    assert capfd.readouterr() == ("", "")


def test_notes_behind_the_voxels_are_not_read(tmp_path: Path, ct: Volume) -> None:
    write_metaimage(tmp_path / "ct.mha", ct.array)
    with (tmp_path / "ct.mha").open("ab") as file:
        file.write(b"written by another program")
    assert (read_volume(tmp_path / "ct.mha").array == ct.array).all()


@pytest.mark.parametrize("name", ["LIST", "list 2", "ct%03d.raw 1 12 1"])
def test_voxels_in_several_files_are_refused(tmp_path: Path, ct: Volume, name: str) -> None:
    header = tmp_path / "ct.mhd"
    write_metaimage(header, ct.array)
    header.write_bytes(header.read_bytes().partition(b"LOCAL\n")[0] + name.encode() + b"\n")
    with pytest.raises(InputError, match=rf"{header}: is spread over several data files"):
        read_volume(header)


def test_a_data_file_that_is_missing(tmp_path: Path, ct: Volume) -> None:
    header = tmp_path / "ct.mhd"
    write_metaimage(header, ct.array)
    header.write_bytes(header.read_bytes().partition(b"LOCAL\n")[0] + b"ct.raw\n")
    with pytest.raises(InputError, match=r"its data file ct.raw is missing"):
        read_volume(header)


@pytest.mark.parametrize(
    "content",
    [b"NDims = 3", b"NDims = 3\nElementDataFile", b"NDims = 3\nDimSize\n", b"\n", b"ObjectType = Image\n" * 5000],
)
def test_headers_without_an_end(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ct.mha").write_bytes(content)
    with pytest.raises(InputError, match="is no readable MetaImage file"):
        read_volume(tmp_path / "ct.mha")


def test_letters_beyond_ascii_and_a_sign_of_equality_in_a_value(tmp_path: Path, ct: Volume) -> None:
    write_metaimage(tmp_path / "ct.mha", ct.array, Comment="M\u00fcller, a = b")
    assert (read_volume(tmp_path / "ct.mha").array == ct.array).all()


def test_a_suffix_in_capitals(tmp_path: Path, ct: Volume) -> None:
    write_metaimage(tmp_path / "CT.MHA", ct.array // 2, **scaling(2, 0))
    assert np.abs(read_volume(tmp_path / "CT.MHA").array - ct.array).max() <= 1


@pytest.mark.parametrize("compress", [False, True])
def test_one_frame_of_four_dimensions_is_a_volume(tmp_path: Path, ct: Volume, compress: bool) -> None:
    four = {"NDims": 4, "ElementSpacing": "2 3 4 1", "Offset": "-20 10 300 0"}
    four["TransformMatrix"] = "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"
    write_metaimage(tmp_path / "ct.mha", ct.array, compress=compress, DimSize="20 18 12 1", **four)
    read = read_volume(tmp_path / "ct.mha")
    assert (read.array == ct.array).all()
    assert np.allclose(read.geometry.index_to_lps((1, 2, 3)), (-20 + 2, 10 + 6, 300 + 12))
    write_metaimage(tmp_path / "ct.mha", ct.array, compress=compress, DimSize="20 18 6 2", **four)
    with pytest.raises(InputError, match="has 4 dimensions"):
        read_volume(tmp_path / "ct.mha")


@pytest.mark.parametrize(
    ("size", "words"), [("20 216", "has 2 dimensions"), ("20", "unusable"), ("20 18 3 2 2", "unusable")]
)
def test_other_numbers_of_dimensions(tmp_path: Path, ct: Volume, size: str, words: str) -> None:
    count = len(size.split())
    write_metaimage(
        tmp_path / "ct.mha", ct.array, NDims=count, DimSize=size, TransformMatrix=None, Offset=None,
        ElementSpacing="1 " * count,
    )  # fmt: skip
    with pytest.raises(InputError, match=words):
        read_volume(tmp_path / "ct.mha")


def test_three_numbers_per_voxel(tmp_path: Path, ct: Volume) -> None:
    colors = np.repeat(ct.array[..., None], 3, axis=-1)
    write_metaimage(tmp_path / "ct.mha", colors, DimSize="20 18 12", ElementNumberOfChannels=3)
    with pytest.raises(InputError, match="one number per voxel"):
        read_volume(tmp_path / "ct.mha")
    write_metaimage(tmp_path / "ct.mha", ct.array, ElementNumberOfChannels=3)
    with pytest.raises(InputError, match="20x18x12 voxels of 6 bytes, more than the file can hold"):
        read_volume(tmp_path / "ct.mha")


def test_sheared_axes_are_refused(tmp_path: Path, ct: Volume) -> None:
    write_metaimage(tmp_path / "ct.mha", ct.array, TransformMatrix="1 0 0 0.2 0.98 0 0 0 1")
    with pytest.raises(InputError, match=r"its geometry is unusable: direction .*not orthonormal"):
        read_volume(tmp_path / "ct.mha")


@pytest.mark.parametrize("chunk", [1, 100, 1 << 22])
def test_compressed_voxels_are_counted_piece_by_piece(
    tmp_path: Path, ct: Volume, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metaimage, "CHUNK", chunk)
    path = tmp_path / "ct.mha"
    write_metaimage(path, ct.array, compress=True)
    with path.open("ab") as file:
        file.write(b"written by another program")
    assert (read_volume(path).array == ct.array).all()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"DimSize = 20 18 12", b"DimSize = 20 18 11"))
    with pytest.raises(InputError, match=r"cut off or damaged \(\d+ of 7920 bytes\)"):
        read_volume(path)


def test_damaged_compressed_voxels_have_no_length(tmp_path: Path, ct: Volume) -> None:
    path = tmp_path / "ct.mha"
    write_metaimage(path, ct.array, compress=True)
    data = bytearray(path.read_bytes())
    data[-20] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"cut off or damaged \(0 of 8640 bytes\)"):
        read_volume(path)
