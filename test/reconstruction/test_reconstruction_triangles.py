# SPDX-License-Identifier: Apache-2.0
"""Closedness and volume of meshes whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from liver_seg_ros.reconstruction.meshes.triangles import (
    defect_vertices,
    fans,
    is_watertight,
    neighbor_means,
    restore_volume,
    signed_volumes,
    vertex_normals,
)

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], np.int32)


def test_a_tetrahedron_is_closed_and_outward():
    assert is_watertight(TETRAHEDRON, 4)
    assert signed_volumes(CORNERS, TETRAHEDRON).sum() == pytest.approx(1 / 6)


def test_a_missing_triangle_is_found_at_its_corners():
    assert defect_vertices(TETRAHEDRON[1:], 4).tolist() == [0, 1, 2]


def test_a_flipped_triangle_is_a_defect():
    flipped = TETRAHEDRON.copy()
    flipped[0] = flipped[0, ::-1]
    assert not is_watertight(flipped, 4)


def test_an_edge_of_four_triangles_is_a_defect():
    # A second tetrahedron on the edge 0-1, with corners 4 and 5.
    second = np.array([0, 1, 4, 5], np.int32)[TETRAHEDRON]
    assert set(defect_vertices(np.concatenate([TETRAHEDRON, second]), 6)) == {0, 1}


def test_a_vertex_in_which_two_solids_touch_has_a_fan_of_each():
    second = np.array([0, 4, 5, 6], np.int32)[TETRAHEDRON]  # a second tetrahedron at corner 0
    triangles = np.concatenate([TETRAHEDRON, second])
    assert is_watertight(triangles, 7)
    fan, vertex = fans(triangles, 7)
    assert sorted(vertex) == [0, 0, 1, 2, 3, 4, 5, 6]
    assert np.array_equal(vertex[fan], triangles)
    assert not set(fan[:4].flat) & set(fan[4:].flat)


def test_the_vertices_of_a_manifold_have_one_fan_each():
    assert sorted(fans(TETRAHEDRON, 4)[1]) == [0, 1, 2, 3]


def test_neighbor_means_keep_what_is_even_and_level_what_is_not():
    assert neighbor_means(np.full(4, 3.0), TETRAHEDRON, 5) == pytest.approx(np.full(4, 3.0))
    assert neighbor_means(np.array([6.0, 0, 0, 0]), TETRAHEDRON, 1) == pytest.approx([3, 1, 1, 1])
    assert neighbor_means(CORNERS, TETRAHEDRON, 40) == pytest.approx(np.full((4, 3), 0.25))


def test_no_triangles_are_not_watertight():
    assert not is_watertight(np.empty((0, 3), np.int32), 0)


def test_each_group_gets_its_own_volume_back_within_the_limit():
    vertices = np.concatenate([CORNERS * 10, CORNERS * 4 + 50])
    triangles = np.concatenate([TETRAHEDRON, TETRAHEDRON + 4])
    group = np.repeat([0, 1], 4)
    target = np.array([175.0, 10.0])
    moved = restore_volume(vertices, triangles, group, target, limit_mm=2.0)
    volumes = np.bincount(group[triangles[:, 0]], signed_volumes(moved, triangles))
    assert volumes == pytest.approx(target, rel=0.02)
    held = restore_volume(vertices, triangles, group, target * 100, limit_mm=0.1)
    assert np.linalg.norm(held - vertices, axis=1).max() == pytest.approx(0.1, rel=1e-3)


def test_a_vertex_among_triangles_without_area_takes_the_nearest_normal() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]], float)
    normals = vertex_normals(vertices, np.array([[0, 1, 2], [0, 3, 4]], np.int32))
    np.testing.assert_allclose(normals, np.tile([0.0, 0.0, 1.0], (5, 1)))
