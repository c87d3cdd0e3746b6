# SPDX-License-Identifier: Apache-2.0
"""Surfaces that are asked: where lines go through them, and clouds with their distance to one."""

from __future__ import annotations

import numpy as np
import trimesh

from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.reconstruction.meshes.clearance_cloud import clearance_cloud
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries

SINGLE = 3e-3  # float32 at the coordinates of the box, with room


def to_mesh(shape: trimesh.Trimesh, structure=VESSEL) -> Mesh:
    return Mesh(
        structure,
        shape.vertices.astype(np.float32),
        shape.faces.astype(np.int32),
        shape.vertex_normals.astype(np.float32),
    )


def test_a_line_goes_in_and_out_by_turns_also_through_edges_and_corners():
    box = SurfaceQueries(to_mesh(trimesh.creation.box(bounds=((0, 0, 0), (10, 10, 10)))))
    starts = np.array([[-5.0, 5, 5], [-5, -5, -5], [5, 5, 5], [-5, 20, 5], [5, 5, 5]])
    stops = np.array([[15.0, 5, 5], [15, 15, 15], [5, 5, 30], [15, 20, 5], [6, 5, 5]])
    found = box.crossings(starts, stops)
    assert found.starts_inside.tolist() == [False, False, True, False, True]
    assert np.bincount(found.segment, minlength=5).tolist() == [2, 2, 1, 0, 0]
    assert found.inward[found.segment == 1].tolist() == [True, False]
    np.testing.assert_allclose(found.along_mm[found.segment == 1], np.sqrt(3) * np.array([5, 15]), atol=2 * SINGLE)
    np.testing.assert_allclose(np.linalg.norm(found.normal, axis=1), 1)
    assert found.normal[0, 0] < -0.5


def test_a_cloud_has_the_clearance_of_the_points_of_other_structures():
    tumor = to_mesh(trimesh.creation.icosphere(subdivisions=4, radius=10.0), TUMOR)
    points = np.array([[30, 0, 0], [0, 12, 0], [0, 0, 10], [0, 0, 4]], np.float32)
    labels = np.array([LIVER.value, VESSEL.value, TUMOR.value, VESSEL.value], np.uint8)
    cloud = clearance_cloud(PointCloud(points, points, labels), tumor)
    assert cloud.structure == TUMOR
    np.testing.assert_array_equal(cloud.points_mm, points[[0, 1, 3]])
    np.testing.assert_allclose(cloud.clearance_mm, [20, 2, -6], atol=0.05)
    assert clearance_cloud(PointCloud(points, points, labels), None).points_mm.shape == (0, 3)
