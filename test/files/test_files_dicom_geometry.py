# SPDX-License-Identifier: Apache-2.0
"""Where the slices of a DICOM series lie: one regular grid, or refused in one line that names the slices."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    generate_uid,
)
from scipy.spatial.transform import Rotation

from liver_seg_ros.files.volumes import read_volume

Fixture = Callable[..., "object"]  # see conftest.py


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(5)),
    permutation=st.permutations([0, 1, 2]),
    signs=st.tuples(*[st.sampled_from([1, -1])] * 3),
    turn=st.tuples(*[st.floats(-np.pi, np.pi)] * 3),
)
def test_files_in_any_order_and_slices_in_any_orientation(
    tmp_path: Path,
    make_series: Fixture,
    place: Fixture,
    check_places: Fixture,
    order: list[int],
    permutation: list[int],
    signs: tuple[int, int, int],
    turn: tuple[float, float, float],
) -> None:
    """Every voxel tells its own place, so a flip or a swap would be seen. Half of the normals are against k."""
    for path in tmp_path.iterdir():
        path.unlink()
    axes = Rotation.from_euler("xyz", turn).as_matrix()[:, permutation] * signs
    volume = read_volume(place(make_series(), axes).save(tmp_path, order))
    check_places(volume)
    assert volume.geometry.is_right_handed
    assert np.allclose(volume.geometry.spacing_mm, (1.5, 1.25, 2.5))


def test_slices_against_the_normal_and_mirrored_columns(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    for k, dataset in enumerate(series.slices):  # columns to anterior: the normal points to inferior
        dataset.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]
        dataset.ImagePositionPatient = [0, 0, 10.0 * k]
    volume = read_volume(series.save(tmp_path))
    assert volume.geometry.is_right_handed
    for k in range(5):
        index = np.rint(volume.geometry.lps_to_index((3 * 1.5, -2 * 1.25, 10.0 * k))).astype(int)
        assert volume.array[tuple(index[::-1])] == series.hu[k, 2, 3]


def test_oblique_series(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    row, column = np.array([0.8, 0.6, 0.0]), np.array([0.0, 0.0, -1.0])
    normal = np.cross(row, column)
    for k, dataset in enumerate(series.slices):
        dataset.ImageOrientationPatient = [*row, *column]
        dataset.ImagePositionPatient = [round(v, 6) for v in normal * 2.5 * k]
    volume = read_volume(series.save(tmp_path))
    place = normal * 2.5 * 3 + row * 1.5 * 4 + column * 1.25 * 5
    assert np.allclose(volume.geometry.lps_to_index(place), (4, 5, 3), atol=1e-4)
    assert (volume.array == series.hu).all()


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_missing_slice(tmp_path: Path, make_series: Fixture, missing: int, refused: Fixture) -> None:
    series = make_series()
    del series.slices[missing]
    series.save(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    refused(tmp_path, names[missing - 1], names[missing], "5.00 mm apart", "2.50 mm")


def test_positions_rounded_by_the_scanner_are_no_gap(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series(spacing_mm=(1.5, 1.25, 0.625))
    for k, dataset in enumerate(series.slices):
        dataset.ImagePositionPatient = [-20.0, -30.0, round(100 + 0.625 * k, 1)]
    assert np.isclose(read_volume(series.save(tmp_path)).geometry.spacing_mm[2], 0.625)


def test_the_same_slice_twice_counts_once(tmp_path: Path, make_series: Fixture) -> None:
    series = make_series()
    twin = series.slices[2].copy()
    twin.SOPInstanceUID = generate_uid()
    twin.save_as(tmp_path / "twin.dcm")
    assert (read_volume(series.save(tmp_path)).array == series.hu).all()


def test_two_slices_at_one_place(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    twin = deepcopy(series.slices[2])
    twin.PixelData = series.slices[3].PixelData
    twin.save_as(tmp_path / "twin.dcm")
    refused(series.save(tmp_path), "twin.dcm", "same place")


@pytest.mark.parametrize("degrees", [12.0, -20.0])
def test_gantry_tilt_is_straightened(tmp_path: Path, make_series: Fixture, degrees: float) -> None:
    """A body that is a linear ramp in the patient's frame comes back as that ramp, so places are right."""
    k, j, i = np.indices((9, 30, 24))
    tangent = np.tan(np.deg2rad(degrees))
    series = make_series(hu=np.zeros((9, 30, 24), np.int16))
    for number, dataset in enumerate(series.slices):
        # The table moves along z; slices are upright in the file but each begins further along y.
        position = np.array([-20.0, -30.0 + 2.5 * number * tangent, 100.0 + 2.5 * number])
        places = position + np.stack([i[0] * 1.5, j[0] * 1.25, 0 * i[0]], axis=-1)
        hu = np.rint(4 * places @ [1.0, 2.0, 0.5])
        dataset.ImagePositionPatient = [round(v, 6) for v in position]
        dataset.PixelData = (hu + 1024).astype(np.int16).tobytes()
    volume = read_volume(series.save(tmp_path))
    assert volume.geometry.direction_matrix.tolist() == np.eye(3).tolist()
    k, j, i = np.indices(volume.array.shape).reshape(3, -1)
    places = volume.geometry.index_to_lps(np.stack([i, j, k], axis=1))
    start = -30.0 + tangent * (places[:, 2] - 100)  # where each slice begins along y
    covered = (places[:, 1] > start) & (places[:, 1] < start + 29 * 1.25)
    assert covered.mean() > 0.5
    error = volume.array[k, j, i] - 4 * places @ [1.0, 2.0, 0.5]
    assert np.abs(error[covered]).max() <= 1.01
    outside = (places[:, 1] < start - 1.25) | (places[:, 1] > start + 30 * 1.25)
    assert (volume.array[k, j, i][outside] == -1024).all()


def test_slices_side_by_side_are_no_tilt(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    """Straightened, they would be a few pictures in gigabytes of air."""
    series = make_series()
    for k, dataset in enumerate(series.slices):
        dataset.ImagePositionPatient = [1000.0 * k, 0, 2.5 * k]
    refused(series.save(tmp_path), "do not lie behind each other")


def test_slices_that_jump_sideways(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    series.slices[2].ImagePositionPatient = [-15.0, -30.0, 105.0]
    refused(series.save(tmp_path), "straight line")


@pytest.mark.parametrize(
    ("name", "value"),
    [("PixelSpacing", [1.4, 1.5]), ("ImageOrientationPatient", [0.8, 0.6, 0, -0.6, 0.8, 0]), ("Rows", 10)],
)
def test_slices_that_differ(tmp_path: Path, make_series: Fixture, name: str, value: object, refused: Fixture) -> None:
    series = make_series()
    setattr(series.slices[3], name, value)
    refused(series.save(tmp_path), f"differ in {name}")


@pytest.mark.parametrize("name", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows"])
def test_missing_attribute(tmp_path: Path, make_series: Fixture, name: str, refused: Fixture) -> None:
    series = make_series()
    delattr(series.slices[1], name)
    refused(series.save(tmp_path), f"_001.dcm: has no {name}")


def test_one_slice(tmp_path: Path, make_series: Fixture, refused: Fixture) -> None:
    series = make_series()
    del series.slices[1:]
    refused(series.save(tmp_path), "one slice")
