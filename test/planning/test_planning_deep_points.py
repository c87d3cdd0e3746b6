# SPDX-License-Identifier: Apache-2.0
"""Depths of many points beside each other: against closed forms, and against exact questions for each."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from liver_seg_ros.labels import TUMOR
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning import deep_points
from liver_seg_ros.planning.clearance import TOLERANCE_MM, distance_field
from liver_seg_ros.planning.deep_points import GAP_MM, DeepPoints
from liver_seg_ros.planning.groups import halved
from liver_seg_ros.planning.vertex_clusters import VertexClusters
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries

SINGLE = 2e-3  # float32 at the coordinates of a CT
SHIFT = np.array([-120.0, 340.0, -900.0])  # where a CT has its patient
HALF = np.array([14.0, 11.0, 9.0])  # of a box


class Counting(SurfaceQueries):
    """Says how many points it was asked for."""

    asked = 0

    def nearest(self, points_mm):
        self.asked += len(points_mm)
        return super().nearest(points_mm)


def to_mesh(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(
        TUMOR,
        (shape.vertices + SHIFT).astype(np.float32),
        shape.faces.astype(np.int32),
        shape.vertex_normals.astype(np.float32),
    )


def box() -> trimesh.Trimesh:
    return trimesh.creation.box(2 * HALF).subdivide_to_size(1.2)


def depth_in_box(points):
    return (HALF - np.abs(points)).min(axis=-1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_depths_in_a_box_are_those_of_the_closed_form_and_the_points_beside_are_on_it(seed):
    points = np.random.default_rng(seed).uniform(-0.999, 0.999, (300, 3)) * HALF
    depth, beside = DeepPoints(SurfaceQueries(to_mesh(box()))).ask(points + SHIFT, np.full(300, np.inf))
    exact = depth_in_box(points)
    assert (depth <= exact + SINGLE).all()
    assert (depth >= exact - GAP_MM - SINGLE).all()
    np.testing.assert_allclose(depth_in_box(beside - SHIFT), 0, atol=SINGLE)
    assert (np.linalg.norm(beside - SHIFT - points, axis=1) <= depth + GAP_MM + SINGLE).all()


@pytest.fixture(scope="module")
def lump():
    """A ball with bumps, of triangles of all shapes."""
    shape = trimesh.creation.icosphere(subdivisions=4, radius=1.0)
    x, y, z = shape.vertices.T
    shape.vertices = shape.vertices * (12 + 1.5 * np.sin(5 * x) + np.cos(7 * y + z))[:, None] * (1.3, 1.0, 0.7)
    return Counting(to_mesh(shape))


def test_depths_in_a_lump_are_those_of_single_questions_though_few_are_asked(lump):
    points = np.random.default_rng(0).normal(0, 2.0, (1000, 3)) + SHIFT
    exact = lump.nearest(points)[0]
    lump.asked = 0
    depth, beside = DeepPoints(lump).ask(points, np.full(1000, np.inf))
    assert lump.asked < 100
    assert (depth <= exact + SINGLE).all()
    assert (depth >= exact - GAP_MM - SINGLE).all()
    assert (np.linalg.norm(beside - points, axis=1) >= exact - SINGLE).all()


def test_what_is_known_not_to_be_deep_few_points_and_a_large_surface_are_asked_exactly(lump, monkeypatch):
    points = np.random.default_rng(1).normal(0, 2.0, (200, 3)) + SHIFT
    exact, nearest = lump.nearest(points)
    few = deep_points.FEWEST - 1
    for most, count in ((np.full(200, 0.1), 200), (np.full(few, np.inf), few)):
        lump.asked = 0
        depth, beside = DeepPoints(lump).ask(points[:count], most)
        assert lump.asked == count
        np.testing.assert_array_equal(depth, exact[:count])
        np.testing.assert_array_equal(beside, nearest[:count])
    monkeypatch.setattr(deep_points, "MOST_VERTICES", 10)
    np.testing.assert_array_equal(DeepPoints(lump).ask(points, np.full(200, np.inf))[0], exact)


def test_points_beside_the_surface_and_none_at_all_are_answered(lump):
    points = lump.mesh.vertices_mm[::8].astype(np.float64)
    depth, _ = DeepPoints(lump).ask(points, np.full(len(points), np.inf))
    np.testing.assert_allclose(depth, 0, atol=SINGLE)
    assert DeepPoints(lump).ask(np.empty((0, 3)), np.empty(0))[1].shape == (0, 3)


@settings(max_examples=60, deadline=None)
@given(arrays(float, 3, elements=st.floats(-5, 5)), st.floats(0, 2))
def test_no_vertex_that_matters_to_a_point_of_a_ball_is_left_out(lump, offset, reach):
    clusters = VertexClusters.of(lump.mesh)
    center = offset + SHIFT
    points = np.random.default_rng(4).normal(size=(50, 3))
    points *= reach / np.linalg.norm(points, axis=1, keepdims=True)
    near, slack = clusters.near(center, reach, clusters.most_mm(center, reach))

    def smallest(vertices, slack):
        squared = ((points + center)[:, None] - vertices) ** 2
        return (squared.sum(axis=2) - slack).min(axis=1)

    every = clusters.points_mm.reshape(-1, 3), clusters.slack_mm2.reshape(-1)
    np.testing.assert_allclose(smallest(near, slack), smallest(*every))
    assert len(near) < len(every[0])


@given(arrays(float, (3, 3), elements=st.floats(-5, 5, width=16)))
def test_no_place_of_a_triangle_is_further_from_its_nearest_corner_than_the_slack_says(corners):
    up = np.tile(np.float32([0, 0, 1]), (3, 1))
    found = VertexClusters.of(Mesh(TUMOR, corners.astype(np.float32), np.array([[0, 1, 2]], np.int32), up))
    f, g = np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 40))
    weights = np.stack([1 - f - g, f, g], axis=-1)[f + g <= 1]
    places = weights @ corners
    to_nearest = ((places[:, None] - corners) ** 2).sum(axis=2).min(axis=1)
    assert to_nearest.max() <= found.slack_mm2.max() + 1e-6
    longest = ((corners - np.roll(corners, 1, axis=0)) ** 2).sum(axis=1).max()
    assert found.slack_mm2.max() <= longest / 3 + 1e-6


def test_many_needles_into_a_box_are_as_deep_as_the_closed_form_says():
    random = np.random.default_rng(2)
    starts, stops = random.normal(0, 1, (400, 3)), random.uniform(-0.6, 0.6, (400, 3)) * HALF
    starts *= 60 / np.linalg.norm(starts, axis=1, keepdims=True)
    field = distance_field(to_mesh(box()))
    found = field.along(starts + SHIFT, stops + SHIFT)
    f = np.linspace(0, 1, 3001)[:, None, None]  # steps of at most 0.03 mm
    depth = depth_in_box((1 - f) * starts + f * stops).max(axis=0)
    assert (-found.clearance_mm <= depth + 0.02 + SINGLE).all()
    assert (-found.clearance_mm >= depth - TOLERANCE_MM - SINGLE).all()
    np.testing.assert_allclose(depth_in_box(found.at_mm - SHIFT), -found.clearance_mm, atol=GAP_MM + SINGLE)


@given(st.integers(1, 300), st.integers(1, 40))
def test_groups_hold_every_row_and_are_no_larger_than_asked(count, most):
    points = np.random.default_rng(count).normal(size=(count, 3))
    groups = halved(points, most)
    assert groups.shape[1] <= most
    np.testing.assert_array_equal(np.unique(groups), np.arange(count))


def test_groups_are_of_points_beside_each_other():
    points = np.random.default_rng(3).uniform(0, 16, (4096, 3))
    extent = np.ptp(points[halved(points, 8)], axis=1)  # 512 groups: cubes of 2 mm
    assert extent.mean() < 2.0
