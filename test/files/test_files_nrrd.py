# SPDX-License-Identifier: Apache-2.0
"""NRRD from bytes written here, field by field: headers that ITK reads as something else are refused or read right."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.itk import read_itk
from liver_seg_ros.files.volumes import read_labels, read_volume
from liver_seg_ros.volume import Volume

# https://teem.sourceforge.net/nrrd/format.html
TYPES = {
    "u1": "uint8", "i1": "signed char", "u2": "ushort", "i2": "short", "u4": "unsigned int", "i4": "int",
    "u8": "uint64", "i8": "long long", "f4": "float", "f8": "double",
}  # fmt: skip
ENCODINGS = {
    "raw": bytes,
    "gzip": gzip.compress,
    "gz": gzip.compress,
    "hex": lambda data: data.hex().encode(),
}


def write_nrrd(path: Path, stored: np.ndarray, order: str = "<", encoding: str = "raw", **changed: str | None) -> None:
    """Write `stored` `(K, J, I)`; `changed` replaces fields of the header (`_` for a space), None leaves one out."""
    fields: dict[str, str | None] = {
        "type": TYPES[stored.dtype.str[1:]],
        "dimension": "3",
        "sizes": " ".join(map(str, stored.shape[::-1])),
        "encoding": encoding,
        "endian": "big" if order == ">" else "little",
        "space": "left-posterior-superior",
        "space dimension": None,
        "space directions": "(2,0,0) (0,3,0) (0,0,4)",
        "space origin": "(-20,10,300)",
    }
    fields |= {name.replace("_", " "): value for name, value in changed.items()}
    lines = [f"{name}: {value}\n" for name, value in fields.items() if value is not None]
    header = "NRRD0004\n# a comment: no field\n" + "".join(lines) + "key:=a value: anything\n\n"
    if encoding in ENCODINGS:
        data = ENCODINGS[encoding](stored.astype(stored.dtype.newbyteorder(order)).tobytes())
    else:
        data = " ".join(map(str, stored.ravel().tolist())).encode()
    path.write_bytes(header.encode() + data)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(sorted(TYPES)),
    order=st.sampled_from("<>"),
    encoding=st.sampled_from([*ENCODINGS, "ascii", "text"]),
    seed=st.integers(0, 99),
)
def test_any_type_byte_order_and_encoding(tmp_path: Path, dtype: str, order: str, encoding: str, seed: int) -> None:
    stored = np.random.default_rng(seed).integers(-1024, 3000, (2, 3, 4)).astype(dtype)
    write_nrrd(tmp_path / "any.nrrd", stored, order, encoding)
    read, geometry, _ = read_itk(tmp_path / "any.nrrd")
    assert (read == stored).all()
    assert np.allclose(geometry.index_to_lps((1, 2, 3)), (-20 + 2, 10 + 6, 300 + 12))


@pytest.mark.parametrize("dtype", ["i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_hu(tmp_path: Path, ct: Volume, dtype: str, order: str) -> None:
    write_nrrd(tmp_path / "ct.nrrd", (ct.array + (0.4 if dtype[0] == "f" else 0)).astype(dtype), order)
    assert (read_volume(tmp_path / "ct.nrrd").array == ct.array).all()


@pytest.mark.parametrize("name", ["left-posterior-superior", "LPS", "right-anterior-superior", "RAS", "LAS"])
def test_every_anatomical_space(tmp_path: Path, ct: Volume, name: str) -> None:
    write_nrrd(tmp_path / "ct.nrrd", ct.array, space=name)
    read = read_volume(tmp_path / "ct.nrrd")
    left, posterior = (1 if name[0] in "lL" else -1), (-1 if name.lower() in ("las", "ras") or "ant" in name else 1)
    place = (left * (-20 + 2 * 19), posterior * (10 + 3 * 5), 300 + 4 * 7)
    i, j, k = np.rint(read.geometry.lps_to_index(place)).astype(int)
    assert read.array[k, j, i] == ct.array[7, 5, 19]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"space_directions": None}, "no spacing"),
        ({"space_directions": "(2,0,0) (0,3,0) none"}, "no spacing"),
        ({"space_directions": "(2,0,0) (0,3,0) (nan,nan,nan)"}, "no spacing"),
        ({"space_directions": "none none none"}, "no spacing"),
        ({"space": None, "space_directions": None, "space_origin": None}, "how it lies.*none"),
        ({"space": None, "space_directions": None, "space_origin": None, "spacings": "2 3 4"}, "how it lies"),
        ({"space": None, "space_dimension": "3"}, "how it lies"),
        ({"space": "scanner-xyz"}, "how it lies.*scanner-xyz"),
        ({"space": "3D-left-handed"}, "how it lies"),
        ({"space_units": '"cm" "cm" "cm"'}, "axes are in cm"),
        ({"space_units": '"mm" "mm" "m"'}, "axes are in m, mm"),
        ({"old_min": "-1000", "old_max": "3000"}, "quantized"),
        ({"sizes": "20 18 13"}, "cut off"),
        ({"sizes": "20000 18000 12000"}, "cut off.*20000x18000x12000 voxels of 2 bytes, more than"),
        ({"sizes": "20000 18000 12000", "encoding": "gzip"}, "more than the file can hold"),
        ({"sizes": "20000 18000 12000", "encoding": "hex"}, "more than the file can hold"),
        ({"sizes": "20000 18000 12000", "encoding": "ascii"}, "more than the file can hold"),
    ],
)
def test_headers_that_do_not_say_what_voxels_mean(tmp_path: Path, ct: Volume, changed: dict, words: str, capfd) -> None:
    path = tmp_path / "ct.nrrd"
    write_nrrd(path, ct.array, **changed)
    for read in (read_volume, read_labels):
        with pytest.raises(InputError, match=words) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("units", ['"mm" "mm" "mm"', '"" "" ""', '"millimeter" "millimeter" "millimeter"'])
def test_millimetres(tmp_path: Path, ct: Volume, units: str) -> None:
    write_nrrd(tmp_path / "ct.nrrd", ct.array, space_units=units)
    assert read_volume(tmp_path / "ct.nrrd").geometry.spacing_mm == (2, 3, 4)


def test_a_range_beside_floats_means_nothing(tmp_path: Path, ct: Volume) -> None:
    write_nrrd(tmp_path / "ct.nrrd", ct.array.astype("f4"), old_min="-1000", old_max="3000")
    assert (read_volume(tmp_path / "ct.nrrd").array == ct.array).all()


@pytest.mark.parametrize(("dtype", "off"), [("f4", 0.0), ("f8", 0.0005), ("f8", -0.0005)])
def test_float_labels_that_are_whole_but_for_rounding(tmp_path: Path, dtype: str, off: float) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (9, 10, 11))
    write_nrrd(tmp_path / "labels.nrrd", (labels + off).astype(dtype))
    assert (read_labels(tmp_path / "labels.nrrd").array == labels).all()


@pytest.mark.parametrize("off", [0.002, -0.002, 0.5])
def test_float_labels_that_are_not(tmp_path: Path, off: float) -> None:
    labels = np.ones((9, 10, 11))
    labels[4, 5, 6] += off
    write_nrrd(tmp_path / "labels.nrrd", labels)
    with pytest.raises(InputError, match="fractions"):
        read_labels(tmp_path / "labels.nrrd")


@pytest.mark.parametrize("field", ["data file", "datafile"])
def test_voxels_in_a_file_beside_the_header(tmp_path: Path, ct: Volume, field: str) -> None:
    whole, header, data = tmp_path / "ct.nrrd", tmp_path / "ct.nhdr", tmp_path / "ct.raw"
    write_nrrd(whole, ct.array)
    text, _, voxels = whole.read_bytes().partition(b"\n\n")
    header.write_bytes(text + f"\n{field}: ct.raw\n".encode())
    data.write_bytes(voxels)
    assert (read_volume(header).array == ct.array).all()
    data.write_bytes(voxels[:-2])
    with pytest.raises(InputError, match="cut off"):
        read_volume(header)


def test_lines_that_end_as_windows_ends_them(tmp_path: Path, ct: Volume) -> None:
    write_nrrd(tmp_path / "ct.nrrd", ct.array)
    text, _, voxels = (tmp_path / "ct.nrrd").read_bytes().partition(b"\n\n")
    (tmp_path / "ct.nrrd").write_bytes((text + b"\n\n").replace(b"\n", b"\r\n") + voxels)
    assert (read_volume(tmp_path / "ct.nrrd").array == ct.array).all()


def test_voxels_in_several_files_beside_the_header(tmp_path: Path, ct: Volume) -> None:
    whole, header = tmp_path / "ct.nrrd", tmp_path / "ct.nhdr"
    write_nrrd(whole, ct.array)
    names = [f"{k}.raw" for k in range(len(ct.array))]
    for name, part in zip(names, ct.array, strict=True):
        (tmp_path / name).write_bytes(part.astype("<i2").tobytes())
    text = whole.read_bytes().partition(b"\n\n")[0].decode()
    header.write_text("\n".join([text, "data file: LIST", *names, ""]))
    assert (read_volume(header).array == ct.array).all()
    (tmp_path / names[3]).unlink()
    with pytest.raises(InputError, match="cannot be read"):
        read_volume(header)


def test_sheared_axes_are_refused(tmp_path: Path, ct: Volume) -> None:
    write_nrrd(tmp_path / "ct.nrrd", ct.array, space_directions="(2,0,0) (0,3,0) (1,0,4)")
    with pytest.raises(InputError, match=r"its geometry is unusable: direction .*not orthonormal"):
        read_volume(tmp_path / "ct.nrrd")


def test_one_frame_of_four_dimensions_is_a_volume(tmp_path: Path, ct: Volume) -> None:
    four = {
        "dimension": "4",
        "sizes": "20 18 12 1",
        "space": "left-posterior-superior-time",
        "space_directions": "(2,0,0,0) (0,3,0,0) (0,0,4,0) (0,0,0,1)",
        "space_origin": "(-20,10,300,0)",
    }
    write_nrrd(tmp_path / "ct.nrrd", ct.array, **four)
    read = read_volume(tmp_path / "ct.nrrd")
    assert (read.array == ct.array).all()
    assert np.allclose(read.geometry.index_to_lps((1, 2, 3)), (-20 + 2, 10 + 6, 300 + 12))
    write_nrrd(tmp_path / "ct.nrrd", ct.array, **(four | {"sizes": "20 18 6 2"}))
    with pytest.raises(InputError, match="has 4 dimensions"):
        read_volume(tmp_path / "ct.nrrd")


@pytest.mark.parametrize("encoding", ["raw", "gzip", "hex", "ascii"])
def test_exactly_as_many_bytes_as_are_needed(tmp_path: Path, encoding: str) -> None:
    """Text is the tightest: one digit and one space for each voxel, but for the last."""
    write_nrrd(tmp_path / "any.nrrd", np.zeros((9, 10, 11), np.int16), encoding=encoding)
    assert not read_itk(tmp_path / "any.nrrd")[0].any()
