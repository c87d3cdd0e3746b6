# SPDX-License-Identifier: Apache-2.0
"""NIfTI from bytes written here, field by field: what is stored is not what is meant, and the header says so."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.files import inflating
from liver_seg_ros.files.inflating import DAMAGED, read_gzipped
from liver_seg_ros.files.nifti import read_nifti
from liver_seg_ros.files.volumes import read_labels, read_volume
from liver_seg_ros.volume import Volume

# The standard's codes: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h
CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024, "u8": 1280}
SFORM = np.diag([-2.0, -2.0, 3.0, 1.0])  # RAS: in LPS along the axes
MM = 2

nifti_test = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def nifti_bytes(
    stored: np.ndarray,
    slope: float = 1.0,
    inter: float = 0.0,
    *,
    version: int = 1,
    order: str = "<",
    magic: bytes | None = None,
    sform: np.ndarray | None = SFORM,
    qform: tuple[float, ...] | None = None,
    pixdim: tuple[float, float, float] = (2.0, 2.0, 3.0),
) -> bytes:
    """A NIfTI file of `stored` `(K, J, I)`: a header by the standard's offsets, then the voxels, i fastest.

    `qform` holds quatern_b, c, d and qoffset_x, y, z; for the codes of a form that is None 0 is written.
    """
    code, bits = CODES[stored.dtype.str[1:]], 8 * stored.dtype.itemsize
    dim = (3, *stored.shape[::-1], 1, 1, 1, 1)
    zooms = (1.0, *pixdim, 0.0, 0.0, 0.0, 0.0)
    form_codes = (int(qform is not None), 2 * int(sform is not None))
    rows = np.zeros(12) if sform is None else sform[:3].ravel()
    quaternion = (0.0,) * 6 if qform is None else qform
    header = bytearray(352 if version == 1 else 544)

    def put(offset: int, kinds: str, *values: float | bytes) -> None:
        struct.pack_into(order + kinds, header, offset, *values)

    if version == 1:
        put(0, "i", 348)
        put(40, "8h", *dim)
        put(70, "2h", code, bits)
        put(76, "8f", *zooms)
        put(108, "3f", len(header), slope, inter)
        put(123, "B", MM)
        put(252, "2h", *form_codes)
        put(256, "6f", *quaternion)
        put(280, "12f", *rows)
        put(344, "4s", magic or b"n+1\0")
    else:
        put(0, "i8s2h", 540, magic or b"n+2\0\r\n\x1a\n", code, bits)
        put(16, "8q", *dim)
        put(104, "8d", *zooms)
        put(168, "q2d", len(header), slope, inter)
        put(344, "2i", *form_codes)
        put(352, "6d", *quaternion)
        put(400, "12d", *rows)
        put(500, "i", MM)
    return bytes(header) + stored.astype(stored.dtype.newbyteorder(order)).tobytes()


def stored_for(hu: np.ndarray, dtype: str, slope: float, inter: float) -> np.ndarray:
    """What a file must store as `dtype` so that slope and intercept give `hu` as nearly as it can."""
    exact = (hu - inter) / slope
    if dtype.startswith("f"):
        return exact.astype(dtype)
    bounds = np.iinfo(dtype)
    return np.clip(np.rint(exact), max(bounds.min, -(2**40)), min(bounds.max, 2**40)).astype(dtype)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("dtype", "slope", "inter"),
    [
        ("i2", 2.0, 0.0),
        ("i2", 1.0, -100.0),
        ("i2", 0.5, 24.0),
        ("i2", -1.0, 0.0),  # stored upside down
        ("u2", 1.0, -1024.0),
        ("u2", 0.25, -8192.0),
        ("u1", 10.0, -1000.0),
        ("i1", 12.0, 500.0),
        ("i4", 0.001, 0.0),
        ("u4", 1.0, -32768.0),
        ("i8", 3.0, 7.0),
        ("u8", 2.0, -1500.0),
        ("f4", 1000.0, -1000.0),
        ("f8", 0.125, 10.0),
        ("f4", 1.0, 5.0),
    ],
)
def test_hu_are_slope_times_stored_plus_intercept(
    tmp_path: Path, ct: Volume, version: int, order: str, dtype: str, slope: float, inter: float
) -> None:
    stored = stored_for(ct.array, dtype, slope, inter)
    path = tmp_path / "ct.nii"
    path.write_bytes(nifti_bytes(stored, slope, inter, version=version, order=order))
    meant = stored.astype(float) * slope + inter
    assert np.abs(meant - stored).max() > 3  # else the test would not see a slope that is left out
    read = read_volume(path)
    assert read.array.dtype == np.int16
    assert read.array.dtype.isnative
    assert np.abs(read.array - meant).max() <= 0.501
    assert np.allclose(read.geometry.affine, np.diag([2.0, 2.0, 3.0, 1.0]))


@nifti_test
@given(
    dtype=st.sampled_from(sorted(CODES)),
    order=st.sampled_from("<>"),
    version=st.sampled_from([1, 2]),
    slope=st.floats(0.01, 100.0).map(np.float32),
    negative=st.booleans(),
    inter=st.floats(-5000, 5000).map(np.float32),
    seed=st.integers(0, 99),
)
def test_any_type_slope_and_intercept(
    tmp_path: Path, dtype: str, order: str, version: int, slope: float, negative: bool, inter: float, seed: int
) -> None:
    slope = -float(slope) if negative else float(slope)
    hu = np.random.default_rng(seed).integers(-1024, 3000, (2, 3, 4))
    stored = stored_for(hu, dtype, slope, float(inter))
    path = tmp_path / "any.nii.gz"
    path.write_bytes(gzip.compress(nifti_bytes(stored, slope, float(inter), version=version, order=order), 1))
    read, _ = read_nifti(path)
    assert np.allclose(read, stored.astype(float) * slope + float(inter), rtol=1e-6, atol=0.01)


@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("inter", [0.0, -100.0, np.nan])
@pytest.mark.parametrize("version", [1, 2])
def test_a_slope_that_is_none_scales_nothing(
    tmp_path: Path, ct: Volume, slope: float, inter: float, version: int
) -> None:
    path = tmp_path / "ct.nii"
    path.write_bytes(nifti_bytes(ct.array, slope, inter, version=version))
    assert (read_volume(path).array == ct.array).all()


@pytest.mark.parametrize("inter", [np.nan, np.inf])
def test_an_intercept_that_is_no_number_is_refused(tmp_path: Path, ct: Volume, inter: float) -> None:
    path = tmp_path / "ct.nii"
    path.write_bytes(nifti_bytes(ct.array, 1.0, inter))
    with pytest.raises(InputError, match=r"header is damaged .*intercept"):
        read_volume(path)


@pytest.mark.parametrize(
    ("dtype", "slope", "inter"),
    [
        ("i2", 0.5, 0.0),  # 2, 4, 6 are 1, 2, 3
        ("u1", 1.0, -7.0),
        ("i2", 0.1, 0.0),  # which no binary number is
        ("f4", 3.0, 0.0),  # thirds, rounded
        ("i2", 3 / 65535, 1.5),  # as nibabel spreads floats over the range of int16
        ("f8", 0.01, -1.0),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_labels_that_are_whole_after_scaling(
    tmp_path: Path, dtype: str, slope: float, inter: float, order: str
) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (9, 10, 11))
    path = tmp_path / "labels.nii.gz"
    path.write_bytes(gzip.compress(nifti_bytes(stored_for(labels, dtype, slope, inter), slope, inter, order=order)))
    assert (read_labels(path).array == labels).all()


@pytest.mark.parametrize("off", [0.02, 0.4, -0.02])
def test_labels_that_are_not_whole_after_scaling(tmp_path: Path, off: float) -> None:
    labels = np.random.default_rng(0).integers(1, 3, (9, 10, 11))
    path = tmp_path / "labels.nii"
    path.write_bytes(nifti_bytes(stored_for(labels, "i2", 1.0, 0.0), 1.0, off))
    with pytest.raises(InputError, match="fractions"):
        read_labels(path)


@pytest.mark.parametrize("name", ["slope2.nii.gz", "inter-100.nii.gz"])
def test_files_that_were_read_as_stored(faults: Path, name: str) -> None:
    array, _ = read_nifti(faults / name)
    assert np.unique(array).tolist() == [-1000, 60]


SHEARED = SFORM.copy()
SHEARED[0, 2] = 1.2  # slices drift by 1.2 mm
QUARTER_TURN = (0.0, 0.0, 2**-0.5, 4.0, 5.0, 6.0)  # quatern_b, c, d; qoffset: i runs along RAS +y, j along -x


def test_the_qform_where_the_sform_is_sheared(tmp_path: Path, ct: Volume, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ct.nii"
    path.write_bytes(nifti_bytes(ct.array, sform=SHEARED, qform=QUARTER_TURN, pixdim=(2.0, 2.5, 3.0)))
    read = read_volume(path)
    assert np.allclose(read.geometry.index_to_lps((0, 0, 0)), (-4, -5, 6), atol=1e-5)
    assert np.allclose(read.geometry.index_to_lps((3, 4, 5)), (-(4 - 4 * 2.5), -(5 + 3 * 2), 6 + 5 * 3), atol=1e-5)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    message = caplog.records[0].getMessage()
    assert message.startswith(f"{path}: its sform is unusable")
    assert "qform" in message
    corners = np.array(np.meshgrid((0, 19), (0, 17), (0, 11))).reshape(3, -1).T
    by_sform = (corners @ SHEARED[:3, :3].T + SHEARED[:3, 3]) * [-1, -1, 1]
    apart = np.linalg.norm(by_sform - read.geometry.index_to_lps(corners), axis=1).max()
    assert f"up to {apart:.1f} mm" in message


def test_an_sform_at_right_angles_needs_no_warning(
    tmp_path: Path, ct: Volume, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ct.nii"
    path.write_bytes(nifti_bytes(ct.array, qform=QUARTER_TURN))
    assert np.allclose(read_volume(path).geometry.affine, np.diag([2.0, 2.0, 3.0, 1.0]))
    assert not caplog.records


@pytest.mark.parametrize("qform", [None, (np.nan,) * 6])
def test_a_sheared_sform_without_a_usable_qform_is_refused(tmp_path: Path, ct: Volume, qform: tuple | None) -> None:
    path = tmp_path / "ct.nii"
    path.write_bytes(nifti_bytes(ct.array, sform=SHEARED, qform=qform))
    with pytest.raises(InputError, match=r"sform is unusable.*orthonormal"):
        read_volume(path)


@pytest.mark.parametrize("pixdim", [(0.0, 2.0, 3.0), (np.nan, 2.0, 3.0)])
def test_a_qform_without_spacing_is_refused(tmp_path: Path, ct: Volume, pixdim: tuple) -> None:
    path = tmp_path / "ct.nii"
    path.write_bytes(nifti_bytes(ct.array, sform=None, qform=QUARTER_TURN, pixdim=pixdim))
    with pytest.raises(InputError, match=r"qform is unusable.*spacing"):
        read_volume(path)


@pytest.mark.parametrize(("code", "mm"), [(0, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001)])
def test_units_of_length(tmp_path: Path, ct: Volume, code: int, mm: float) -> None:
    path = tmp_path / "ct.nii"
    data = bytearray(nifti_bytes(ct.array, sform=np.diag([-2 / mm, -2 / mm, 3 / mm, 1])))
    data[123] = code
    path.write_bytes(data)
    assert np.allclose(read_volume(path).geometry.affine, np.diag([2.0, 2.0, 3.0, 1.0]))


def test_a_unit_that_nifti_does_not_have(tmp_path: Path, ct: Volume) -> None:
    path = tmp_path / "ct.nii"
    data = bytearray(nifti_bytes(ct.array))
    data[123] = 5
    path.write_bytes(data)
    with pytest.raises(InputError, match="unit of length"):
        read_volume(path)


def test_another_kind_of_image_under_the_name_of_nifti(tmp_path: Path) -> None:
    axes = (nibabel.cifti2.ScalarAxis(["a", "b"]), nibabel.cifti2.SeriesAxis(0, 1, 3))
    nibabel.save(nibabel.cifti2.Cifti2Image(np.zeros((2, 3)), axes), tmp_path / "ct.nii")
    with pytest.raises(InputError, match=r"ct.nii: is Cifti2Image, not NIfTI"):
        read_volume(tmp_path / "ct.nii")


def test_a_slice_of_three_dimensions_stays_one(tmp_path: Path, ct: Volume) -> None:
    """Only a fourth dimension of 1 is dropped."""
    (tmp_path / "ct.nii").write_bytes(nifti_bytes(ct.array[:1]))
    assert read_nifti(tmp_path / "ct.nii")[0].shape == (1, 18, 20)
    with pytest.raises(InputError, match="one slice"):
        read_volume(tmp_path / "ct.nii")


def test_a_gzipped_file_is_as_its_bytes_say_where_it_is_longer_than_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard library's gzip and NumPy read the same; damage anywhere in the voxels is told."""
    monkeypatch.setattr(inflating, "_AT_ONCE", 1000)
    stored = np.random.default_rng(0).integers(-1000, 2000, (11, 13, 17)).astype(">i2")
    packed = gzip.compress(b"\x00" * 352 + stored.tobytes())
    path = tmp_path / "any.gz"
    path.write_bytes(packed)
    found = read_gzipped(path, 352, stored.shape, stored.dtype)
    assert found.dtype == stored.dtype
    np.testing.assert_array_equal(found, stored)
    damaged = packed[: len(packed) // 2] + bytes(64) + packed[len(packed) // 2 + 64 :]
    for bad in (packed[: len(packed) // 2], damaged, b"no gzip", gzip.compress(bytes(400))):
        path.write_bytes(bad)
        with pytest.raises(DAMAGED):
            read_gzipped(path, 352, stored.shape, stored.dtype)
