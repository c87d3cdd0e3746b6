# SPDX-License-Identifier: Apache-2.0
"""Collision meshes: never inside the structure, never further out than the margin, few triangles."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, SEGMENTED, TUMOR, VESSEL
from liver_seg_ros.phantom.generator import generate_phantom
from liver_seg_ros.phantom.phantom_options import PhantomOptions
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.reconstruction.meshes import collision as collision_module
from liver_seg_ros.reconstruction.meshes.collision import collision_mesh
from liver_seg_ros.reconstruction.meshes.decimation import decimate
from liver_seg_ros.reconstruction.meshes.interpolation import interpolated
from liver_seg_ros.reconstruction.meshes.quality import mesh_quality
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries
from liver_seg_ros.reconstruction.meshes.surfaces import extract_surface, surface_to_mesh
from liver_seg_ros.volume import LabelVolume


def shape_and_mesh(labels, structure, triangle_budget=30_000):
    mask = structure_mask(labels, structure)
    shape = interpolated(mask)
    surface = decimate(extract_surface(shape, counted=mask), triangle_budget)
    return mask, shape, surface_to_mesh(surface, shape)


def points_on(mesh, count=20_000):
    """Random points on the faces, at least one on each."""
    random = np.random.default_rng(0)
    triangle = np.concatenate([np.arange(len(mesh.triangles)), random.integers(0, len(mesh.triangles), count)])
    weights = random.dirichlet([1, 1, 1], len(triangle))
    return np.einsum("nc,ncx->nx", weights, mesh.vertices_mm[mesh.triangles[triangle]].astype(float))


def assert_encloses(collision, mask, visual, margin_mm):
    centers = mask.geometry.index_to_lps(np.argwhere(mask.array)[:, ::-1])
    queries = SurfaceQueries(collision.mesh)
    assert queries.signed_distance(points_on(visual)).max() <= 0
    assert queries.contains(centers).all()
    on_collision = points_on(collision.mesh)
    outward = SurfaceQueries(visual).signed_distance(on_collision)
    assert outward.min() >= 0
    outward = np.minimum(outward, cKDTree(centers).query(on_collision)[0])
    assert outward.max() <= collision.largest_distance_mm + 0.1
    assert collision.largest_distance_mm <= margin_mm
    quality = mesh_quality(collision.mesh)
    assert quality.watertight and quality.manifold and quality.outward


@pytest.fixture(scope="module")
def phantom() -> LabelVolume:
    return generate_phantom(9101, PhantomOptions((160, 140, 130), (1.5, 1.5, 1.5), tumor_count=3)).labels


@pytest.mark.parametrize("structure", SEGMENTED, ids=lambda structure: structure.name)
def test_the_structures_of_a_phantom_are_enclosed_within_the_margin_and_the_budget(phantom, structure):
    mask, shape, visual = shape_and_mesh(phantom, structure)
    collision = collision_mesh(shape, visual, 3.0, 20_000)
    assert_encloses(collision, mask, visual, 3.0)
    assert len(collision.mesh.triangles) <= 20_000
    if structure != VESSEL:
        assert len(collision.mesh.triangles) < 6000  # large and smooth: few are enough


def test_a_structure_on_an_oblique_grid_of_thick_slices_is_enclosed(painted, oblique):
    center = oblique.index_to_lps((31.3, 32.4, 19.8))
    thick = Geometry((64, 64, 16), (1.0, 1.1, 4.3), oblique.origin_mm, oblique.direction)
    labels = painted(thick, (TUMOR.value, lambda points: np.linalg.norm(points - center, axis=-1) <= 15))
    mask, shape, visual = shape_and_mesh(labels, TUMOR)
    assert_encloses(collision_mesh(shape, visual, 2.0, 5000), mask, visual, 2.0)


def test_one_voxel_in_the_corner_of_the_volume_is_enclosed():
    array = np.zeros((5, 6, 7), np.uint8)
    array[0, 5, 3] = TUMOR.value
    mask, shape, visual = shape_and_mesh(LabelVolume(array, Geometry((7, 6, 5), (1.0, 1.0, 2.0))), TUMOR)
    assert_encloses(collision_mesh(shape, visual, 2.0, 500), mask, visual, 2.0)


def test_a_cavity_has_no_surface(painted):
    def shell(points):
        radii = np.linalg.norm(points - 32, axis=-1)
        return (radii < 20) & (radii > 12) & (points[..., 2] < 50)  # open at the top, by less than it is dilated

    def hole(points):
        return np.linalg.norm(points[..., :2] - 32, axis=-1) < 1.0

    labels = painted(
        Geometry((64, 64, 64)), (VESSEL.value, shell), (0, lambda points: hole(points) & (points[..., 2] > 32))
    )
    _, shape, visual = shape_and_mesh(labels, VESSEL)
    collision = collision_mesh(shape, visual, 4.0, 5000)
    assert mesh_quality(collision.mesh).outward
    assert np.linalg.norm(collision.mesh.vertices_mm - 32, axis=1).min() > 15


def test_a_budget_that_cannot_keep_to_the_margin_is_exceeded_with_a_warning(painted, caplog):
    labels = painted(Geometry((64, 64, 64)), (LIVER.value, lambda points: np.linalg.norm(points - 32, axis=-1) <= 25))
    mask, shape, visual = shape_and_mesh(labels, LIVER)
    with caplog.at_level(logging.WARNING):
        collision = collision_mesh(shape, visual, 1.0, 100)
    assert_encloses(collision, mask, visual, 1.0)
    assert len(collision.mesh.triangles) > 100
    assert "instead of 100" in caplog.text


def test_a_margin_too_small_for_the_voxels_is_exceeded_with_a_warning_but_encloses(painted, caplog):
    labels = painted(
        Geometry((40, 40, 20), (1.0, 1.0, 2.0)),
        (VESSEL.value, lambda points: np.linalg.norm(points[..., :2] - 20, axis=-1) <= 1.2),
    )
    _, shape, visual = shape_and_mesh(labels, VESSEL)
    with caplog.at_level(logging.WARNING):
        collision = collision_mesh(shape, visual, 0.02, 30_000)
    assert collision.largest_distance_mm > 0.02
    assert "beyond the margin" in caplog.text
    assert SurfaceQueries(collision.mesh).signed_distance(visual.vertices_mm).max() <= 0


def test_voxels_too_coarse_for_the_margin_are_not_tried_with_ever_more_triangles(monkeypatch, caplog):
    array, n = np.zeros((24, 24, 24), np.uint8), np.arange(3, 21)
    array[n, n, n] = array[12, n, 5] = array[n, 20 - n // 2, n // 2] = VESSEL.value
    mask, shape, visual = shape_and_mesh(LabelVolume(array, Geometry((24, 24, 24), (0.6, 1.0, 1.6))), VESSEL)
    tried = []
    real = collision_module._coarser
    monkeypatch.setattr(
        collision_module, "_coarser", lambda of, budget, step: tried.append(budget) or real(of, budget, step)
    )
    for budget, expected in ((2000, [2000]), (600, [600, 2400])):
        tried.clear()
        with caplog.at_level(logging.WARNING):
            collision = collision_mesh(shape, visual, 0.8, budget)
        assert tried == expected and "beyond the margin" in caplog.text
        assert 0.8 < collision.largest_distance_mm < 1.0  # the first that encloses, not one that is dilated by more
        assert_encloses(collision, mask, visual, collision.largest_distance_mm)


def test_thin_branches_that_stick_out_here_and_there_keep_to_a_margin_below_a_voxel():
    array, n = np.zeros((24, 24, 24), np.uint8), np.arange(3, 21)
    array[n, n, n] = array[12, n, 5] = array[n, 20 - n // 2, n // 2] = VESSEL.value
    mask, shape, visual = shape_and_mesh(LabelVolume(array, Geometry((24, 24, 24))), VESSEL)
    assert_encloses(collision_mesh(shape, visual, 0.7, 2000), mask, visual, 0.7)


def test_a_surface_too_winding_for_few_triangles_is_not_measured_with_all_of_them(monkeypatch):
    noise = gaussian_filter(np.random.default_rng(1).normal(size=(90, 90, 90)), 3.0)
    sponge = np.pad((noise > np.percentile(noise, 30))[6:-6, 6:-6, 6:-6], 6)
    parts, _ = label(sponge)
    array = (parts == 1 + np.bincount(parts[sponge])[1:].argmax()).astype(np.uint8) * np.uint8(LIVER.value)
    mask, shape, visual = shape_and_mesh(LabelVolume(array, Geometry((90, 90, 90))), LIVER)
    measured = []
    real = collision_module._enclosing
    monkeypatch.setattr(
        collision_module, "_enclosing", lambda of, *rest: measured.append(len(of.triangles)) or real(of, *rest)
    )
    collision = collision_mesh(shape, visual, 3.0, 20_000)
    assert max(measured) == len(collision.mesh.triangles) == 20_000
    assert_encloses(collision, mask, visual, 3.0)


def test_noise_in_slices_thicker_than_the_margin_is_enclosed_all_the_same():
    random = np.random.default_rng(3)
    array = (random.random((9, 8, 10)) < 0.15).astype(np.uint8) * np.uint8(TUMOR.value)
    mask, shape, visual = shape_and_mesh(LabelVolume(array, Geometry((10, 8, 9), (1.0, 1.0, 2.0))), TUMOR)
    collision = collision_mesh(shape, visual, 1.0, 2000)
    assert_encloses(collision, mask, visual, collision.largest_distance_mm)


def test_a_margin_that_is_not_positive_is_refused(painted):
    labels = painted(Geometry((20, 20, 20)), (LIVER.value, lambda points: np.linalg.norm(points - 10, axis=-1) <= 5))
    _, shape, visual = shape_and_mesh(labels, LIVER)
    with pytest.raises(ValueError, match="margin"):
        collision_mesh(shape, visual, 0.0, 1000)
