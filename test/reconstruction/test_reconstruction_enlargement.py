# SPDX-License-Identifier: Apache-2.0
"""A surface that is moved outward: it encloses, and what is near it elsewhere is not run into."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import VESSEL
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.reconstruction.meshes.enclosed import Enclosed
from liver_seg_ros.reconstruction.meshes.enlargement import enlarged
from liver_seg_ros.reconstruction.meshes.quality import mesh_quality
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries
from liver_seg_ros.reconstruction.meshes.surfaces import Surface, surface_to_mesh
from liver_seg_ros.volume import LabelVolume

GAP_MM = 0.3


def boxes(*of: tuple[tuple[float, float, float], tuple[float, float, float]]) -> Surface:
    """Closed boxes of `(extents, center)` in mm, with an edge every millimetre or two."""
    made = []
    for extents, center in of:
        box = trimesh.creation.box(extents, trimesh.transformations.translation_matrix(center))
        made.append(trimesh.Trimesh(*trimesh.remesh.subdivide_to_size(box.vertices, box.faces, 2.0)))
        made[-1].merge_vertices()
    whole = trimesh.util.concatenate(made)
    return Surface(np.asarray(whole.vertices), np.asarray(whole.faces, np.int32))


@pytest.fixture
def mask():
    """Of one voxel at (1, 1, 1) mm in its own grid, in which surfaces are."""
    array = np.zeros((20, 20, 30), np.uint8)
    array[2, 10, 12] = VESSEL.value
    return structure_mask(LabelVolume(array, Geometry((30, 20, 20))), VESSEL)


def plates(grown_mm: float):
    """Two plates, a gap apart, each larger by so much to all sides."""
    extents = tuple(side_mm + 2 * grown_mm for side_mm in (20, 6, 3))
    return tuple((extents, (8.0, 1.0, side * (1.5 + GAP_MM / 2))) for side in (1, -1))


def test_a_surface_is_moved_only_where_the_structure_is_outside(mask):
    above = ((0.3, 0.3, 0.3), (14.0, 1.0, 3.0 + GAP_MM / 2 + 0.6))  # a speck beyond the first plate
    visual = surface_to_mesh(boxes(*plates(0.0), above), mask)
    surface = boxes(*plates(GAP_MM / 6))
    inner = Enclosed.of(mask, visual, lambda: None)
    assert inner.outside(surface_to_mesh(surface, mask))[0] > GAP_MM
    mesh = enlarged(surface, inner, mask, 3.0)
    assert mesh is not None
    assert SurfaceQueries(mesh).contains(visual.vertices_mm).all()
    assert mesh_quality(mesh).self_intersections == 0
    still = (np.asarray(mesh.vertices_mm) == surface_to_mesh(surface, mask).vertices_mm).all(axis=1)
    assert 0.5 < still.mean() < 1


def test_a_limit_that_is_too_small_gives_none(mask):
    visual = surface_to_mesh(boxes(((20, 6, 6), (8.0, 1.0, 1.0))), mask)
    smaller = boxes(((18, 4, 4), (8.0, 1.0, 1.0)))
    inner = Enclosed.of(mask, visual, lambda: None)
    assert enlarged(smaller, inner, mask, 1.0) is None
    mesh = enlarged(smaller, inner, mask, 10.0)
    assert mesh is not None and SurfaceQueries(mesh).contains(visual.vertices_mm).all()
