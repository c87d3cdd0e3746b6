# SPDX-License-Identifier: Apache-2.0
"""Reordering axes: every voxel stays where it is in the patient, and the way back is exact."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.orientation import Reorientation, to_canonical

FLIPS = list(product((False, True), repeat=3))
EVERY = [Reorientation(axes, flips) for axes, flips in product(permutations(range(3)), FLIPS)]
rotations = st.tuples(*[st.floats(-180, 180)] * 3).map(lambda angles: Rotation.from_euler("xyz", angles, degrees=True))


@settings(max_examples=50, deadline=None)
@given(rotation=rotations, stored=st.sampled_from(EVERY))
def test_voxels_stay_where_they_are_and_the_way_back_is_exact(rotation: Rotation, stored: Reorientation) -> None:
    geometry = Geometry((5, 4, 3), (1.0, 2.0, 3.0), (10.0, 20.0, 30.0), rotation.as_matrix())  # type: ignore[arg-type]
    array = np.arange(60).reshape(geometry.shape)
    moved, moved_geometry = stored.apply(array), stored.apply_to_geometry(geometry)
    assert moved.shape == moved_geometry.shape
    for point in [(0, 0, 0), (4, 0, 2), (1, 3, 1)]:
        where = moved_geometry.lps_to_index(geometry.index_to_lps(point))
        i, j, k = np.round(where).astype(int)
        np.testing.assert_allclose(where, (i, j, k), atol=1e-6)
        assert moved[k, j, i] == array[point[2], point[1], point[0]]
    back = stored.inverse()
    np.testing.assert_array_equal(back.apply(moved), array)
    assert back.apply_to_geometry(moved_geometry).is_same_grid(geometry, 1e-6)


@settings(max_examples=30, deadline=None)
@given(rotation=rotations)
def test_canonical_axes_are_the_closest_there_are_and_right_handed(rotation: Rotation) -> None:
    geometry = Geometry((5, 4, 3), direction=rotation.as_matrix())  # type: ignore[arg-type]
    canonical = to_canonical(geometry).apply_to_geometry(geometry)
    assert canonical.is_right_handed
    trace = np.trace(canonical.direction_matrix)
    others = [other.apply_to_geometry(geometry) for other in EVERY]
    assert trace >= max(np.trace(o.direction_matrix) for o in others if o.is_right_handed) - 1e-5


@pytest.mark.parametrize("degrees", [7.0, 45.0], ids=["tilted", "halfway"])
@pytest.mark.parametrize("stored", [r for r in EVERY if r.apply_to_geometry(Geometry((5, 4, 3))).is_right_handed])
def test_every_way_of_storing_a_grid_becomes_the_same_canonical_grid(stored: Reorientation, degrees: float) -> None:
    matrix = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
    upright = Geometry((5, 4, 3), (1.0, 2.0, 3.0), direction=matrix)  # type: ignore[arg-type]
    expected = to_canonical(upright).apply_to_geometry(upright)
    geometry = stored.apply_to_geometry(upright)
    assert to_canonical(geometry).apply_to_geometry(geometry).is_same_grid(expected, 1e-6)


@pytest.mark.parametrize("stored", EVERY)
def test_boxes_move_with_their_voxels(stored: Reorientation) -> None:
    size, box = (6, 5, 4), Box((1, 0, 2), (3, 4, 3))
    mask = np.zeros((4, 5, 6), bool)
    mask[box.slices] = True
    assert stored.apply_to_box(box, size) == Box.around(stored.apply(mask))


def test_applied_arrays_are_views() -> None:
    array = np.zeros((3, 4, 5))
    EVERY[29].apply(array)[...] = 1
    assert array.all()
