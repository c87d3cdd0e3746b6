# SPDX-License-Identifier: Apache-2.0
"""The same points in another order are found again; what differs is said in numbers put in here."""

from __future__ import annotations

import re
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.grids import PLACE_TOLERANCE, difference, reordering
from liver_seg_ros.orientation import Reorientation

RIGHT_HANDED = [
    Reorientation(axes, flips)
    for axes, flips in product(permutations(range(3)), product((False, True), repeat=3))
    if Reorientation(axes, flips).apply_to_geometry(Geometry((5, 4, 3))).is_right_handed
]
GRID = Geometry((6, 5, 4), (0.7, 0.8, 2.5), (-170.5, 12.25, 700.0))

rotations = st.tuples(*[st.floats(-180, 180)] * 3).map(lambda angles: Rotation.from_euler("xyz", angles, degrees=True))
orders = st.sampled_from(RIGHT_HANDED)
# Two axes may well be of one size and spacing: then sizes do not tell them apart.
sizes = st.tuples(*[st.integers(1, 5)] * 3)
spacings = st.tuples(*[st.sampled_from([0.7, 1.5, 5.0])] * 3)


def test_there_are_24_right_handed_orders() -> None:
    assert len(RIGHT_HANDED) == 24


def test_the_promised_tolerance() -> None:
    assert PLACE_TOLERANCE == 0.1


@given(sizes, spacings, rotations, orders)
def test_the_same_points_in_any_order(size: tuple, spacing: tuple, rotation: Rotation, stored: Reorientation) -> None:
    geometry = Geometry(size, spacing, (-30.0, 400.0, -1200.0), rotation.as_matrix())
    array = np.arange(np.prod(size)).reshape(geometry.shape)
    back = reordering(stored.apply_to_geometry(geometry), geometry)
    assert back is not None
    assert (back.apply(stored.apply(array)) == array).all()


def changed(
    size: tuple | None = None, spacing: tuple | None = None, off: tuple = (0, 0, 0), turn: Rotation | None = None
):
    """`GRID` with one thing changed."""
    matrix = GRID.direction_matrix if turn is None else turn.as_matrix() @ GRID.direction_matrix
    origin = tuple(np.add(GRID.origin_mm, off))
    return Geometry(size or GRID.size, spacing or GRID.spacing_mm, origin, matrix)


@given(orders, st.integers(0, 2), st.sampled_from([-1, 1]))
def test_a_tenth_of_a_voxel_is_the_same_place_and_more_is_not(stored: Reorientation, axis: int, sign: int) -> None:
    for share, same in ((0.099, True), (0.101, False)):
        off = np.zeros(3)
        off[axis] = sign * share * GRID.spacing_mm[axis]
        found = reordering(stored.apply_to_geometry(changed(off=tuple(off))), GRID)
        assert (found is not None) == same


@pytest.mark.parametrize("axis", range(3))
def test_a_spacing_may_add_up_to_a_tenth_of_a_voxel(axis: int) -> None:
    for share, same in ((0.099, True), (0.101, False)):
        spacing = list(GRID.spacing_mm)
        spacing[axis] *= 1 + share / (GRID.size[axis] - 1)
        assert (reordering(changed(spacing=tuple(spacing)), GRID) is not None) == same


@given(orders, st.permutations(range(3)))
def test_another_size_holds_other_points(stored: Reorientation, axes: list[int]) -> None:
    size = tuple(GRID.size[axis] for axis in axes)
    same = reordering(stored.apply_to_geometry(changed(size=size)), GRID) is not None
    assert same == (size == GRID.size)


def test_two_equal_grids_differ_in_nothing() -> None:
    assert difference(GRID, GRID) == "voxels up to 0.00 mm apart"


@pytest.mark.parametrize("stored", RIGHT_HANDED[::5])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed(size=(6, 5, 7)), "size 6x5x7 instead of 6x5x4 voxels"),
        (
            changed(spacing=(0.7, 0.8, 2.625)),
            "spacing 0.7x0.8x2.625 instead of 0.7x0.8x2.5 mm, voxels up to 0.38 mm apart",
        ),
        (changed(off=(0, -12.5, 0.25)), "origin off by (0.00, -12.50, 0.25) mm, voxels up to 12.50 mm apart"),
        (changed(off=(0, 0.3, 0)), "origin off by (0.00, 0.30, 0.00) mm, voxels up to 0.30 mm apart"),
        # A corner of 3.5x3.2x7.5 mm, 8.276 mm from the first voxel along x and z, turns by 3 degrees about y.
        (
            changed(turn=Rotation.from_euler("y", 3, degrees=True)),
            "axes turned by 3.00 degrees, voxels up to 0.43 mm apart",
        ),
        (
            changed((6, 5, 7), (1.0, 0.8, 2.5), (1, 2, 3), Rotation.from_euler("z", -20, degrees=True)),
            "size 6x5x7 instead of 6x5x4 voxels, spacing 1x0.8x2.5 instead of 0.7x0.8x2.5 mm, "
            "origin off by (1.00, 2.00, 3.00) mm, axes turned by 20.00 degrees",
        ),
    ],
)
def test_what_differs_and_by_how_much(stored: Reorientation, change: Geometry, words: str) -> None:
    assert difference(stored.apply_to_geometry(change), GRID) == words


@given(rotations, st.floats(0.02, 40.0))
def test_the_angle_is_that_of_the_rotation(axes: Rotation, degrees: float) -> None:
    grid = Geometry((9, 9, 9), direction=axes.as_matrix())
    turned = Geometry((9, 9, 9), direction=(Rotation.from_euler("x", degrees, degrees=True) * axes).as_matrix())
    said = re.search(r"axes turned by ([\d.]+) degrees", difference(turned, grid))
    assert said is not None
    assert float(said[1]) == pytest.approx(degrees, abs=0.0051)
