# SPDX-License-Identifier: Apache-2.0
"""The surface outside of a structure, and how far a mesh is from it: against distances to everything, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.meshes import enclosed as enclosed_module
from liver_seg_ros.reconstruction.meshes.collision import collision_mesh
from liver_seg_ros.reconstruction.meshes.dilation import cell_steps, dilated
from liver_seg_ros.reconstruction.meshes.enclosed import Enclosed
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries
from liver_seg_ros.reconstruction.meshes.surfaces import extract_surface, surface_to_mesh


def body(seed: int) -> tuple[StructureMask, Enclosed]:
    """A random body with crevices, and how its visual mesh and its voxel centers are asked."""
    noise = gaussian_filter(np.random.default_rng(seed).random((26, 24, 22)), 3.0)
    mask = StructureMask.padded(TUMOR, noise > np.quantile(noise, 0.7), Geometry((22, 24, 26), (0.8, 0.9, 1.0)))
    visual = surface_to_mesh(extract_surface(mask), mask)
    return mask, Enclosed.of(mask, visual, lambda: None)


def test_cells_are_whole_voxels_and_one_at_least():
    mask = StructureMask(TUMOR, np.zeros((2, 3, 4), bool), Geometry((4, 3, 2), (0.7, 0.8, 2.5)))
    assert cell_steps(mask, 1.65).tolist() == [2, 2, 1]
    assert cell_steps(mask, 0.5).tolist() == [1, 1, 1]


def test_cells_get_longer_along_an_axis_that_voxels_do_not_fill_while_their_diagonal_is_short_enough():
    mask = StructureMask(TUMOR, np.zeros((2, 3, 4), bool), Geometry((4, 3, 2), (0.75, 0.75, 1.0)))
    assert cell_steps(mask, 1.65).tolist() == [2, 2, 1]
    assert cell_steps(mask, 1.65, 2.95).tolist() == [2, 2, 2]
    assert cell_steps(mask, 1.65, 2.9).tolist() == [2, 2, 1]


@pytest.mark.parametrize("most_mm, median_mm", [(1.65, 0.01), (2.7, 0.045)], ids=["cells for branches", "wide cells"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_surface_lies_at_the_offset_and_further_out_in_crevices_only(seed, most_mm, median_mm):
    mask, enclosed = body(seed)
    mesh = surface_to_mesh(dilated(mask, enclosed, 1.5, cell_steps(mask, most_mm)), mask)
    centers = mask.geometry.index_to_lps(np.argwhere(mask.array)[:, ::-1])
    signed = enclosed.visual.signed_distance(mesh.vertices_mm)
    off = np.minimum(signed, cKDTree(centers).query(mesh.vertices_mm)[0]) - 1.5
    assert np.median(abs(off)) < median_mm
    assert np.percentile(abs(off), 90) < most_mm / 15
    assert -most_mm / 4 < off.min() and off.max() < most_mm / 2


@pytest.mark.parametrize("seed", [4, 5, 6, 7])
def test_the_furthest_point_is_found_though_few_are_asked_for(seed, monkeypatch):
    mask, enclosed = body(seed)
    monkeypatch.setattr(enclosed_module, "FURTHEST_AT_ONCE", 4)
    mesh = surface_to_mesh(dilated(mask, enclosed, 2.0, cell_steps(mask, 2.4)), mask)
    corners = mesh.vertices_mm[mesh.triangles].astype(float)
    points = np.concatenate(
        [mesh.vertices_mm, *(corners[:, e].mean(axis=1) for e in ([0, 1], [1, 2], [2, 0], [0, 1, 2]))]
    )
    every = enclosed.visual.nearest(points)[0]
    if len(enclosed.centers_mm):
        every = np.minimum(every, cKDTree(enclosed.centers_mm).query(points)[0])
    assert enclosed.furthest_mm(mesh) == pytest.approx(every.max(), abs=1e-4)


def test_a_thin_branch_of_a_thick_body_is_enclosed_too(painted):
    """Cells for thick bodies are too wide for the branch; that is seen, and smaller ones are taken."""
    labels = painted(
        Geometry((96, 64, 64), (0.6, 0.6, 0.6)),
        (TUMOR.value, lambda p: np.linalg.norm(p - (14, 19, 19), axis=-1) <= 12),
        (
            TUMOR.value,
            lambda p: (np.linalg.norm(p[..., 1:] - 19.1, axis=-1) < 0.4) & (p[..., 0] > 14) & (p[..., 0] < 50),
        ),
    )
    mask = StructureMask.padded(TUMOR, labels.array > 0, labels.geometry)
    visual = surface_to_mesh(extract_surface(mask), mask)
    collision = collision_mesh(mask, visual, 3.0, 20_000)
    assert SurfaceQueries(collision.mesh).contains(visual.vertices_mm).all()
    assert collision.largest_distance_mm <= 3.0
