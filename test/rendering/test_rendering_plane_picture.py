# SPDX-License-Identifier: Apache-2.0
"""Pictures of any plane: whether each pixel shows the place in the patient that the plane says."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.picture_plane import PicturePlane, plane_along
from liver_seg_ros.rendering.plane_picture import NEEDLE, plane_picture
from liver_seg_ros.rendering.sampling import TINT, sampled_picture
from liver_seg_ros.rendering.slices import EDGE_LETTERS, View, view_plane
from liver_seg_ros.volume import LabelVolume, Volume

#: An oblique grid of unequal spacing, and HU that are linear in LPS: what lies between voxels is known exactly.
GRID = Geometry(
    (50, 40, 30), (1.5, 2.0, 4.0), (-40.0, -200.0, 700.0),
    Rotation.from_euler("zyx", [20, -10, 15], degrees=True).as_matrix(),
)  # fmt: skip
SLOPE_HU = np.array([1.5, -0.8, 1.1])
WINDOW_HU = (-200.0, 250.0)
MIDDLE_MM = GRID.index_to_lps([24.5, 19.5, 14.5])
BALL_MM = 16.0


def hu_at(points_mm: np.ndarray) -> np.ndarray:
    return (points_mm - MIDDLE_MM) @ SLOPE_HU


def every_voxel_mm() -> np.ndarray:
    k, j, i = np.indices(GRID.shape)
    return GRID.index_to_lps(np.stack([i, j, k], axis=-1))


VOLUME = Volume(np.rint(hu_at(every_voxel_mm())).astype(np.int16), GRID)
BALL = LabelVolume((np.linalg.norm(every_voxel_mm() - MIDDLE_MM, axis=-1) <= BALL_MM).astype(np.uint8) * 2, GRID)


def inside_of_grid(points_mm: np.ndarray, margin: float) -> np.ndarray:
    index = GRID.lps_to_index(points_mm)
    return np.all((index > margin) & (index < np.array(GRID.size) - 1 - margin), axis=-1)


directions = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda d: np.linalg.norm(d) > 0.05)
shifts = st.tuples(*[st.floats(-15, 15)] * 3)


@settings(max_examples=40, deadline=None)
@given(directions, shifts, st.floats(0.4, 2.5))
def test_a_plane_through_a_needle_holds_it_and_shows_what_is_there(direction, shift, pixel_mm):
    tip = MIDDLE_MM + shift
    along = np.array(direction) / np.linalg.norm(direction)
    plane = plane_along(tip, direction, pixel_mm, 80.0)
    points = plane.points_mm()
    # The shaft lies in it, whatever its length, the tip in the middle; pixels are square and as large as is said.
    assert_allclose((tip - 100 * along - np.array(plane.first_mm)) @ np.array(plane.normal), 0, atol=1e-9)
    assert_allclose(points.mean(axis=(0, 1)), tip, atol=1e-9)
    assert_allclose(np.linalg.norm(np.diff(points, axis=0), axis=-1), pixel_mm)
    assert_allclose(np.linalg.norm(np.diff(points, axis=1), axis=-1), pixel_mm)
    # As radiologists look: the patient's left is on the right, front or head is up.
    assert plane.right[0] >= 0.7 - 1e-9
    assert plane.down[1] >= 0.5 - 1e-9 or plane.down[2] <= -0.5 + 1e-9
    column, row = 3, plane.height - 2
    assert_allclose(plane.in_picture(points[row, column]), (column, row), atol=1e-9)
    # Every pixel is the gray of its own place.
    picture = sampled_picture(VOLUME, None, points, WINDOW_HU)
    gray = (hu_at(points) - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0])
    inside = inside_of_grid(points, 0)
    assert_allclose(picture[inside], np.repeat(255 * gray[inside].clip(0, 1)[:, None], 3, axis=1), atol=0.9)
    assert not picture[~inside_of_grid(points, -0.5 - 1e-6)].any()


def test_a_structure_is_tinted_inside_and_outlined_at_its_border():
    plane = plane_along(MIDDLE_MM, (0.3, 1.0, -0.4), 0.5, 80.0)
    points = plane.points_mm()
    bare, drawn = (sampled_picture(VOLUME, labels, points, WINDOW_HU).astype(int) for labels in (None, BALL))
    away = np.linalg.norm(points - MIDDLE_MM, axis=-1)
    color = np.array(TUMOR.color_rgb)
    deep, far = away < BALL_MM - 4, away > BALL_MM + 4
    assert_allclose(drawn[deep], (1 - TINT) * bare[deep] + TINT * color, atol=1)
    assert_array_equal(drawn[far], bare[far])
    outline = (drawn == color).all(axis=-1)
    assert_allclose(away[outline], BALL_MM, atol=3)
    assert outline.sum() >= 2 * np.pi * BALL_MM / 0.5 * 0.8  # all around


def test_labels_on_another_grid_are_drawn_where_they_are():
    part = BALL.crop(Box((5, 5, 4), (45, 36, 27)))
    points = plane_along(MIDDLE_MM, (1.0, 0.2, 0.1), 0.7, 60.0).points_mm()
    assert_array_equal(sampled_picture(VOLUME, part, points), sampled_picture(VOLUME, BALL, points))


def test_a_pixel_halfway_between_two_structures_belongs_to_both_that_have_half():
    array = np.zeros((2, 2, 4), np.uint8)
    array[..., :2], array[..., 2:] = LIVER.value, VESSEL.value
    grid = Geometry((4, 2, 2), (2.0, 1.0, 1.0))
    points = np.array([[(x, 0.5, 0.5) for x in (1.9, 2.9, 3.1, 4.9)]])
    picture = sampled_picture(Volume(np.zeros(grid.shape, np.int16), grid), LabelVolume(array, grid), points)
    assert_array_equal(picture[0, [1, 2]], [LIVER.color_rgb, VESSEL.color_rgb])


def test_the_needle_is_drawn_where_it_is_as_wide_as_it_is():
    along = np.array([0.6, 0.0, 0.8])
    plane = plane_along(MIDDLE_MM, along, 0.5, 80.0)
    needle = DrawnTrajectory("needle", tuple(MIDDLE_MM - 30 * along), tuple(MIDDLE_MM), 1.5)
    picture = plane_picture(VOLUME, None, plane, WINDOW_HU, needle)
    drawn = (picture == NEEDLE).all(axis=-1)
    away = plane.points_mm() - MIDDLE_MM
    back_mm = -(away @ along)
    off_mm = np.linalg.norm(away + back_mm[..., None] * along, axis=-1)
    shaft = (back_mm > 4) & (back_mm < 29)
    assert drawn[shaft & (off_mm < 1.0)].all()
    assert not drawn[shaft & (off_mm > 2.3)].any()
    assert not drawn[(back_mm > 31.5) | (back_mm < -4)].any()


@pytest.mark.parametrize("view", get_args(View))
def test_the_patients_sides_are_those_of_each_view(view):
    plane = view_plane(GRID, view, MIDDLE_MM, 1.0)
    assert plane.edge_letters == EDGE_LETTERS[view]
    corner = plane_along((0, 0, 0), (1.0, 1.0, 0.0), 1.0, 9.0)
    assert corner.edge_letters == ("R", "L", "A", "P")  # still an axial plane
    assert plane_along((0, 0, 0), (0.0, 1.0, 0.9), 1.0, 9.0).edge_letters == ("R", "L", "AI", "PS")


def test_a_picture_without_end_is_refused():
    with pytest.raises(InputError, match="1000000 x 1000000 pixels of 1e-06 mm"):
        plane_along((0, 0, 0), (0, 0, 1), 1e-6, 1.0)
    with pytest.raises(InputError, match="no plane"):
        plane_along((0, 0, 0), (0, 0, 0), 1.0, 1.0)
    with pytest.raises(InputError, match="right angles"):
        PicturePlane((0, 0, 0), (1, 0, 0), (0.1, 1, 0), 1.0, 2, 2)
