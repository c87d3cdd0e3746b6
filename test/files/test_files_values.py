# SPDX-License-Identifier: Apache-2.0
"""Numbers in a file to HU and labels: rounded, clipped where a few are beyond, refused where many are."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.itk import write_itk
from liver_seg_ros.files.values import FEW_OUTSIDE, LABEL_ROUNDING, scaled, to_hu, to_whole_numbers
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.volume import Volume

SHAPE = (10, 20, 30)


def test_promised_constants() -> None:
    assert FEW_OUTSIDE == 0.01
    assert LABEL_ROUNDING == 0.001


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint32, np.int64, ">f4", ">i4"])
@pytest.mark.parametrize("count", [1, 60])  # of 6000: up to a hundredth
def test_a_few_voxels_beyond_are_clipped_with_a_warning(
    dtype: type | str, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    array = np.arange(6000).reshape(SHAPE).astype(dtype)
    array.reshape(-1)[:count] = 40_000
    if np.dtype(dtype).kind != "u":
        array[0, 0, 0] = -99_999
    hu = to_hu(array, "ct.nii.gz")
    assert hu.dtype == np.int16
    assert hu[0, 0, 0] == (32767 if np.dtype(dtype).kind == "u" else -32768)
    assert (hu.reshape(-1)[1:count] == 32767).all()
    assert (hu.reshape(-1)[count:] == np.arange(count, 6000)).all()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.records[0].getMessage().startswith(f"ct.nii.gz: {count} of 6000 voxels are no Hounsfield units")
    assert "set to -32768 or 32767" in caplog.records[0].getMessage()


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_voxels_beyond_are_counted_in_every_slice(dtype: type, caplog: pytest.LogCaptureFixture) -> None:
    array = np.zeros(SHAPE, dtype)
    array[:, 0, 0] = (40_000, -40_000, *range(8))
    array[2:4, 1, 1] = (-32768, 32767)  # these are HU
    array[7:, 2, 2] = 32768
    hu = to_hu(array, "ct")
    assert hu[:, 0, 0].tolist() == [32767, -32768, *range(8)]
    assert "ct: 5 of 6000 voxels" in caplog.text
    array[:, 5] = 70_000  # 300 voxels, 30 in each slice
    with pytest.raises(InputError, match=r"^ct: 305 of 6000 voxels are no Hounsfield units"):
        to_hu(array, "ct")


@pytest.mark.parametrize("value", [40_000.0, -40_000.0])
def test_many_voxels_beyond_are_refused(value: float, caplog: pytest.LogCaptureFixture) -> None:
    array = np.zeros(SHAPE, np.float32)
    array.reshape(-1)[-61:] = value
    with pytest.raises(InputError) as caught:
        to_hu(array, "ct.nii.gz")
    message = str(caught.value)
    assert message.startswith("ct.nii.gz: 61 of 6000 voxels are no Hounsfield units")
    assert f"from {min(value, 0):g} to {max(value, 0):g}" in message
    assert not caplog.records


@pytest.mark.parametrize("value", [-32768, 32767])
def test_the_ends_of_int16_are_inside(value: int, caplog: pytest.LogCaptureFixture) -> None:
    for dtype in (np.float32, np.int32):
        assert (to_hu(np.full(SHAPE, value, dtype), "ct") == value).all()
    assert not caplog.records


def test_floats_are_rounded_to_the_nearest() -> None:
    assert to_hu(np.array([[[-0.6, -0.4, 0.4, 0.6, 99.7]]]), "ct").tolist() == [[[-1, 0, 0, 1, 100]]]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_ct_with_metal_beyond_int16_is_read(
    tmp_path: Path, ct: Volume, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    array = ct.array.astype(np.float32)
    array[4, 5, 6:9] = 50_000
    write_itk(tmp_path / f"ct{suffix}", array, ct.geometry)
    expected = ct.array.copy()
    expected[4, 5, 6:9] = 32767
    assert (read_volume(tmp_path / f"ct{suffix}").array == expected).all()
    assert f"{tmp_path / f'ct{suffix}'}: 3 of 4320 voxels" in caplog.text


def test_what_is_int16_comes_back_as_it_is() -> None:
    array = np.zeros(SHAPE, np.int16)
    assert to_hu(array, "ct") is array
    turned = array.transpose(1, 0, 2)
    assert to_hu(turned, "ct").flags.c_contiguous


@pytest.mark.parametrize(
    ("dtype", "result"),
    [("i2", "f4"), ("u1", "f4"), ("u2", "f4"), ("i4", "f8"), ("u4", "f8"), ("f4", "f4"), ("f8", "f8"), (">i2", "f4")],
)
def test_scaled_in_a_precision_that_holds_every_stored_number(dtype: str, result: str) -> None:
    array = np.array([[[1, 2, 100]]], dtype)
    found = scaled(array, 0.5, -3)
    assert found.tolist() == [[[-2.5, -2, 47]]]
    assert found.dtype == np.dtype(result)


def test_slope_1_and_intercept_0_copy_nothing() -> None:
    array = np.zeros(SHAPE, np.int16)
    assert scaled(array, 1.0, 0.0) is array
    assert scaled(array, 1.0, 1.0)[0, 0, 0] == 1
    assert scaled(array + 1, 2.0, 0.0)[0, 0, 0] == 2


def test_an_infinite_product_is_refused_with_the_voxels() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        overflown = scaled(np.full(SHAPE, 1e30, np.float32), 1e30, 0)
        assert np.isnan(scaled(overflown, 1.0, -np.inf)).all()
    with pytest.raises(InputError, match=r"^ct: 6000 of 6000 voxels are NaN or infinite"):
        to_hu(overflown, "ct")
    with pytest.raises(InputError, match=r"^labels: 6000 of 6000 voxels are NaN or infinite"):
        to_whole_numbers(overflown, "labels")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, ">u2", bool])
def test_labels_of_any_type(dtype: type | str) -> None:
    values = np.random.default_rng(0).integers(0, 2 if dtype is bool else 4, SHAPE)
    labels = to_whole_numbers(values.astype(dtype), "labels")
    assert labels.dtype == np.uint8
    assert (labels == values).all()


@pytest.mark.parametrize("value", [65536.0, 65535.6, -0.6, -1.0])
def test_values_that_no_label_has(value: float) -> None:
    array = np.zeros(SHAPE)
    array[1, 2, 3] = value
    with pytest.raises(InputError, match="no labels"):
        to_whole_numbers(array, "labels")


@pytest.mark.parametrize("value", [0.0009, 0.9991, 2.0009, -0.0009])
def test_rounding_of_a_thousandth(value: float) -> None:
    array = np.zeros(SHAPE)
    array[1, 2, 3] = value
    assert to_whole_numbers(array, "labels")[1, 2, 3] == round(value)
    array[1, 2, 3] = value + (0.0002 if value % 1 < 0.5 else -0.0002)
    with pytest.raises(InputError, match="fractions"):
        to_whole_numbers(array, "labels")


@pytest.mark.parametrize(("highest", "dtype"), [(255, np.uint8), (256, np.uint16), (65_535, np.uint16)])
def test_labels_take_bytes_where_these_are_enough(highest: int, dtype: type) -> None:
    for kind in (np.uint16, np.float64, np.int64):
        array = np.zeros(SHAPE, kind)
        array[1, 2, 3] = highest
        labels = to_whole_numbers(array, "labels")
        assert labels.dtype == dtype and labels[1, 2, 3] == highest == labels.max()
