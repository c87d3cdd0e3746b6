# SPDX-License-Identifier: Apache-2.0
"""Slices onto one grid: how far each may lie beside its place, and what is refused beyond that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.files import dicom_stack
from liver_seg_ros.files.dicom_slice import Slice
from liver_seg_ros.files.dicom_stack import stack_slices

PIXEL_MM = (1.25, 0.75)  # between rows, between columns
STEP_MM = 2.5


def slices_at(positions_mm: NDArray[np.float64], axes: NDArray[np.float64] | None = None) -> list[Slice]:
    axes = np.eye(3) if axes is None else axes
    return [
        Slice(Path(f"{n}.dcm"), None, position, axes, PIXEL_MM, (20, 30), 1.0, 0.0, {})
        for n, position in enumerate(positions_mm)
    ]


def line(count: int = 6) -> NDArray[np.float64]:
    """`(N, 3)` positions straight up."""
    return np.array([-20.0, 30.0, 100.0]) + np.outer(np.arange(count), [0, 0, STEP_MM])


def test_tolerances_are_what_is_promised() -> None:
    assert (dicom_stack.PLACE_TOLERANCE, dicom_stack.SAME_POSITION_MM) == (0.1, 0.01)
    assert pytest.approx(1.0) == dicom_stack.MOST_TILT


@given(seed=st.integers(0, 2**32 - 1))
def test_the_grid_is_the_slices_own_however_it_lies(seed: int) -> None:
    axes = Rotation.random(random_state=seed).as_matrix()
    geometry, drift_mm = stack_slices(slices_at(line() @ axes.T, axes), "here")
    assert geometry.size == (30, 20, 6)
    assert geometry.spacing_mm == pytest.approx((0.75, 1.25, 2.5))
    index = np.array([[0, 0, n] for n in range(6)])
    assert geometry.index_to_lps(index) == pytest.approx(line() @ axes.T)
    assert drift_mm == (0, 0)


@pytest.mark.parametrize(
    ("axis", "spacing_mm", "words"),
    [(0, 0.75, "straight line"), (1, 1.25, "straight line"), (2, STEP_MM, "slices are missing or uneven")],
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_one_slice_may_be_a_tenth_of_a_voxel_beside_its_place(
    axis: int, spacing_mm: float, words: str, sign: int
) -> None:
    for share, fits in ((0.099, True), (0.101, False)):
        positions = line()
        positions[3, axis] += sign * share * spacing_mm
        if fits:
            assert stack_slices(slices_at(positions), "here")[0].size == (30, 20, 6)
        else:
            with pytest.raises(InputError, match=f"^here: .*{words}"):
                stack_slices(slices_at(positions), "here")


@pytest.mark.parametrize(("axis", "spacing_mm"), [(0, 0.75), (1, 1.25)])
def test_a_drift_of_less_than_a_tenth_of_a_pixel_over_the_whole_stack_is_rounding(axis: int, spacing_mm: float) -> None:
    for share, tilted in ((0.09, False), (-0.09, False), (0.11, True), (-0.11, True)):
        positions = line()
        positions[:, axis] += np.linspace(0, share * spacing_mm, 6)
        drift_mm = stack_slices(slices_at(positions), "here")[1]
        assert drift_mm[axis] == (pytest.approx(share * spacing_mm / 5) if tilted else 0)
        assert drift_mm[1 - axis] == 0


@pytest.mark.parametrize("direction", [(1, 0), (0, -1), (-0.6, 0.8)])
def test_a_gantry_tilts_by_up_to_45_degrees(direction: tuple[float, float]) -> None:
    for degrees, taken in ((44.9, True), (45.1, False)):
        drift = np.array(direction) * STEP_MM * np.tan(np.deg2rad(degrees))
        positions = line() + np.outer(np.arange(6), [*drift, 0])
        if taken:
            assert stack_slices(slices_at(positions), "here")[1] == pytest.approx(tuple(drift))
        else:
            with pytest.raises(InputError, match="do not lie behind each other"):
                stack_slices(slices_at(positions), "here")


@pytest.mark.parametrize("off", [-1, 1])
def test_rows_and_columns_stand_at_right_angles_to_a_thousandth(off: int) -> None:
    for cosine, taken in ((0.0009, True), (0.0011, False)):
        axes = np.eye(3)
        axes[:, 1] = [off * cosine, np.sqrt(1 - cosine**2), 0]
        if taken:
            stack_slices(slices_at(line(), axes), "here")
        else:
            with pytest.raises(InputError, match=r"^here: rows and columns are not at right angles"):
                stack_slices(slices_at(line(), axes), "here")


def test_the_gap_that_is_named_is_the_one_that_differs_most() -> None:
    positions = np.delete(line(9), [3, 6, 7], axis=0)
    with pytest.raises(InputError, match=r"between 4\.dcm and 5\.dcm: 7\.50 mm apart, the others 2\.50 mm"):
        stack_slices(slices_at(positions), "here")


@pytest.mark.parametrize("count", [1, 2])
def test_one_slice_is_no_volume_and_two_are(count: int) -> None:
    if count == 2:
        assert stack_slices(slices_at(line(2)), "here")[0].spacing_mm[2] == STEP_MM
    else:
        with pytest.raises(InputError, match="one slice"):
            stack_slices(slices_at(line(1)), "here")
