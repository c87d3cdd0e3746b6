# SPDX-License-Identifier: Apache-2.0
"""Self-intersections: all of them found, none invented, repaired where it can be done."""

from __future__ import annotations

import numpy as np
import pytest

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.reconstruction.meshes.self_intersections import self_intersections, without_self_intersections
from liver_seg_ros.reconstruction.meshes.surfaces import Surface, extract_surface
from liver_seg_ros.reconstruction.meshes.triangles import is_watertight, signed_volumes
from liver_seg_ros.volume import LabelVolume

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], np.int32)
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)


@pytest.fixture(scope="module")
def ball() -> Surface:
    k, j, i = np.indices((30, 30, 30))
    array = ((k - 15) ** 2 + (j - 15) ** 2 + (i - 15) ** 2 <= 100).astype(np.uint8) * np.uint8(LIVER.value)
    return extract_surface(structure_mask(LabelVolume(array, Geometry((30, 30, 30))), LIVER))


def test_a_ball_has_none(ball):
    assert self_intersections(ball.vertices_mm, ball.triangles).shape == (0, 2)
    vertices, left = without_self_intersections(ball.vertices_mm, ball.triangles)
    assert len(left) == 0
    assert vertices is ball.vertices_mm


def test_each_pair_of_triangles_of_two_tetrahedra_is_found_once():
    # The second one's corner lies inside the first: its three faces there go through the first's slanted face.
    inside = np.array([[0.1, 0.1, 0.1], [3, 3, 2.9], [2.9, 3, 3.2], [3.1, 2.8, 3]])
    vertices = np.concatenate([CORNERS, inside])
    triangles = np.concatenate([TETRAHEDRON, TETRAHEDRON + 4])
    pairs = self_intersections(vertices, triangles)
    through = [4 + t for t in range(4) if 0 in TETRAHEDRON[t]]
    assert pairs.tolist() == [[2, t] for t in through]


def test_triangles_that_share_a_corner_and_cross_are_found():
    # Both tetrahedra have the corner 0; an edge of the second goes through the first's slanted face.
    vertices = np.concatenate([CORNERS, [[0.3, 0.25, 0.2], [0.6, 0.7, 0.5], [0.5, 0.7, 0.7]]])
    triangles = np.concatenate([TETRAHEDRON, np.array([0, 4, 5, 6])[TETRAHEDRON]])
    pairs = self_intersections(vertices, triangles)
    assert len(pairs) > 0
    assert set(pairs[:, 0]) == {2} and set(pairs[:, 1]) <= {4, 5, 6, 7}


def test_a_vertex_pushed_through_the_other_side_is_found_and_smoothed_back(ball):
    vertices = ball.vertices_mm.copy()
    top = int(vertices[:, 2].argmax())
    vertices[top] -= [0.3, 0.2, 25.0]
    assert len(self_intersections(vertices, ball.triangles)) > 0
    repaired, left = without_self_intersections(vertices, ball.triangles)
    assert len(left) == 0
    assert is_watertight(ball.triangles, len(repaired))
    far = np.linalg.norm(ball.vertices_mm - ball.vertices_mm[top], axis=1) > 8
    far &= np.linalg.norm(ball.vertices_mm - vertices[top], axis=1) > 8
    assert np.array_equal(repaired[far], vertices[far])  # nothing moves where nothing was wrong
    assert signed_volumes(repaired, ball.triangles).sum() == pytest.approx(4 / 3 * np.pi * 1000, rel=0.03)


def test_what_smoothing_cannot_repair_is_returned(ball):
    vertices = np.concatenate([ball.vertices_mm, ball.vertices_mm + np.array([7.3, 0.2, 0.1])])
    triangles = np.concatenate([ball.triangles, ball.triangles + len(ball.vertices_mm)])
    _, left = without_self_intersections(vertices, triangles)
    assert len(left) > 0
