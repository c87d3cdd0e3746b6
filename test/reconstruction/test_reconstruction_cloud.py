# SPDX-License-Identifier: Apache-2.0
"""The cloud: on the surface, even, labelled, repeatable."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.reconstruction.meshes.cloud import sample_surfaces
from liver_seg_ros.reconstruction.meshes.decimation import decimate
from liver_seg_ros.reconstruction.meshes.surfaces import extract_surface, surface_to_mesh


@pytest.fixture(scope="module")
def meshes(painted):
    def ball(center, radius):
        return lambda points: np.linalg.norm(points - center, axis=-1) <= radius

    labels = painted(
        Geometry((70, 64, 60)),
        (LIVER.value, ball([30, 30, 30], 25)),
        (TUMOR.value, ball([36, 30, 30], 8)),
        (TUMOR.value, ball([64, 55, 50], 1.2)),  # smaller than the spacing between points
    )
    made = []
    for structure in (LIVER, TUMOR):
        mask = structure_mask(labels, structure)
        # Few triangles of very different size, so that evenness does not come from the mesh.
        made.append(surface_to_mesh(decimate(extract_surface(mask), 1000), mask))
    return made


def test_points_lie_on_their_structure_with_its_normals(meshes):
    cloud = sample_surfaces(meshes, 2.0)
    assert cloud.points_mm.dtype == cloud.normals.dtype == np.float32
    assert set(cloud.labels) == {LIVER.value, TUMOR.value}
    liver = cloud.labels == LIVER.value
    from_center = cloud.points_mm[liver] - 30.0
    main = np.linalg.norm(from_center, axis=1) < 27
    radii = np.linalg.norm(from_center[main], axis=1)
    assert abs(radii - 25).max() < 0.8
    assert np.einsum("ni,ni->n", from_center[main] / radii[:, None], cloud.normals[liver][main]).min() > 0.95


@pytest.mark.parametrize("spacing_mm", [1.5, 4.0])
def test_points_are_evenly_spread(meshes, spacing_mm):
    liver = meshes[:1]
    points = sample_surfaces(liver, spacing_mm).points_mm
    nearest = cKDTree(points).query(points, k=2)[0][:, 1]
    assert nearest.min() >= spacing_mm - 1e-4
    everywhere = sample_surfaces(liver, 1.0).points_mm
    gaps = cKDTree(points).query(everywhere)[0]
    assert gaps.max() < 1.5 * spacing_mm


def test_a_part_smaller_than_the_spacing_has_a_point(meshes):
    cloud = sample_surfaces(meshes, 10.0)
    tumor = cloud.points_mm[cloud.labels == TUMOR.value]
    assert (np.linalg.norm(tumor - [64, 55, 50], axis=1) < 3).sum() == 1


def test_the_same_seed_gives_the_same_cloud_and_another_does_not(meshes):
    first, again, other = (sample_surfaces(meshes, 3.0, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.points_mm, again.points_mm)
    assert not np.array_equal(first.points_mm, other.points_mm)


def test_no_meshes_give_an_empty_cloud_and_a_bad_spacing_is_refused():
    cloud = sample_surfaces([], 2.0)
    assert cloud.points_mm.shape == cloud.normals.shape == (0, 3)
    assert cloud.labels.shape == (0,)
    with pytest.raises(ValueError, match="not positive"):
        sample_surfaces([], 0.0)


def test_a_surface_too_large_for_the_spacing_gets_fewer_points_and_a_warning(meshes, monkeypatch, caplog):
    fine = sample_surfaces(meshes, 1.0)
    assert not caplog.records
    monkeypatch.setattr("liver_seg_ros.reconstruction.meshes.cloud.MOST_CANDIDATES", 10_000)
    cloud = sample_surfaces(meshes, 1.0)
    liver, tumor = (cloud.points_mm[cloud.labels == value] for value in (LIVER.value, TUMOR.value))
    assert 100 < len(liver) < 2000 < len(fine.points_mm)
    apart_mm = np.sqrt(4 * np.pi * 25**2 * 8 / (np.pi / 4 * 10_000))  # of a ball of 25 mm
    assert 0.97 * apart_mm <= cKDTree(liver).query(liver, k=2)[0][:, 1].min() < 1.05 * apart_mm
    assert cKDTree(tumor).query(tumor, k=2)[0][:, 1].min() < 1.2  # small enough as it is
    [said] = caplog.messages
    assert said.startswith("points on liver are 2.83 mm apart and not 1 mm: its surface is 0.00789 m^2; ask for")
