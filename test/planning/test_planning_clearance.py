# SPDX-License-Identifier: Apache-2.0
"""Clearance: against closed forms, against dense sampling, on either side, and where there is nothing to measure."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import TUMOR, VESSEL
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.clearance import TOLERANCE_MM, distance_field, distance_fields
from liver_seg_ros.planning.lattice import Lattice
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.reconstruction.meshes import surface_queries
from liver_seg_ros.reconstruction.meshes.surfaces import extract_surface, surface_to_mesh
from liver_seg_ros.volume import LabelVolume

SINGLE = 3e-3  # float32 at the coordinates of a CT; a point a micrometre from the surface may be told to its other side
BOXES = [((0, 0, 0), (40, 30, 20)), ((55, 0, 0), (60, 60, 60)), ((-30, 40, 5), (45, 43, 8))]  # apart from each other
SHIFT = np.array([-120.0, 340.0, -900.0])  # where a CT has its patient


def to_mesh(shape: trimesh.Trimesh, structure=VESSEL) -> Mesh:
    return Mesh(
        structure,
        shape.vertices.astype(np.float32),
        shape.faces.astype(np.int32),
        shape.vertex_normals.astype(np.float32),
    )


def to_boxes(points, boxes=BOXES):
    """The exact signed distance to boxes that are apart from each other."""
    distances = []
    for low, high in boxes:
        low, high = np.array(low), np.array(high)
        beyond = np.abs(points - (low + high) / 2) - (high - low) / 2
        outside = np.linalg.norm(beyond.clip(min=0), axis=-1)
        distances.append(np.where(outside > 0, outside, beyond.max(axis=-1)))
    return np.min(distances, axis=0)


@pytest.fixture(scope="module")
def boxes():
    shapes = [trimesh.creation.box(bounds=(np.array(low) + SHIFT, np.array(high) + SHIFT)) for low, high in BOXES]
    return distance_field(to_mesh(trimesh.util.concatenate(shapes)))


@pytest.fixture(scope="module")
def tubes():
    """The reconstructed mesh of a curved vessel that forks, on anisotropic voxels."""

    def inside(points):
        x, y, z = np.moveaxis(points, -1, 0)
        trunk = np.hypot(y - 20 - 6 * np.sin(x / 8), z - 20) < 3.5
        branch = np.hypot(y - 20 - 0.8 * (x - 20), z - 20) < 2.2
        return (trunk | (branch & (x > 20))) & (x > 3) & (x < 45)

    geometry = Geometry((50, 50, 26), (1.0, 1.0, 1.6))
    k, j, i = np.indices(geometry.shape)
    vessel = inside(geometry.index_to_lps(np.stack([i, j, k], axis=-1)))
    mask = structure_mask(LabelVolume(np.where(vessel, np.uint8(VESSEL.value), np.uint8(0)), geometry), VESSEL)
    return distance_field(surface_to_mesh(extract_surface(mask), mask))


coordinates = st.floats(-100, 140, width=32)


@given(arrays(float, (20, 3), elements=coordinates))
def test_points_have_the_distance_of_the_closed_form(boxes, points):
    np.testing.assert_allclose(boxes.distance(points + SHIFT), to_boxes(points), atol=SINGLE)


@settings(max_examples=60)
@given(arrays(float, (2, 8, 3), elements=coordinates), st.floats(0, 5))
def test_segments_have_the_smallest_distance_of_the_closed_form_within_the_tolerance(boxes, ends, radius):
    found = boxes.along(*(ends + SHIFT), radius)
    f = np.linspace(0, 1, 6001)[:, None, None]  # steps of at most 0.07 mm
    exact = to_boxes((1 - f) * ends[0] + f * ends[1]).min(axis=0) - radius
    assert (found.clearance_mm >= exact - 0.035 - SINGLE).all()
    assert (found.clearance_mm <= exact + TOLERANCE_MM + SINGLE).all()
    np.testing.assert_allclose(to_boxes(found.at_mm - SHIFT) - radius, found.clearance_mm, atol=TOLERANCE_MM + SINGLE)
    on_axis = np.linalg.norm(found.at_mm - SHIFT - ends[0], axis=1) + np.linalg.norm(
        found.at_mm - SHIFT - ends[1], axis=1
    )
    np.testing.assert_allclose(on_axis, np.linalg.norm(ends[1] - ends[0], axis=1), atol=SINGLE)


@settings(max_examples=40)
@given(arrays(float, (2, 8, 3), elements=st.floats(-20, 70, width=32)))
def test_segments_have_the_smallest_distance_to_a_reconstructed_vessel(tubes, ends):
    found = tubes.along(*ends).clearance_mm
    f = np.linspace(0, 1, 1001)[:, None, None]
    points = (1 - f) * ends[0] + f * ends[1]
    sampled = tubes.distance(points.reshape(-1, 3)).reshape(points.shape[:2]).min(axis=0)
    assert (found <= sampled + TOLERANCE_MM + SINGLE).all()
    assert (found >= sampled - 0.08).all()  # half of the longest step


def test_the_lattice_is_never_above_the_exact_distance_and_near_it_from_afar(tubes):
    random = np.random.default_rng(1)
    high = tubes.surface.mesh.vertices_mm.max(axis=0)
    within, around = random.uniform(tubes.lattice.origin_mm, high, (5000, 3)), random.uniform(-60, 110, (5000, 3))
    gap_within, gap_around = (
        tubes.surface.nearest(points)[0] - np.sqrt(tubes.lattice.lower_bound_squared(points))
        for points in (within, around)
    )
    assert gap_within.min() > -SINGLE
    assert gap_around.min() > -SINGLE
    far = tubes.surface.nearest(within)[0] > 10
    assert far.sum() > 20
    assert np.median(gap_within[far]) < 0.15


def test_the_lattice_asks_for_the_nodes_that_it_needs_and_says_what_all_of_them_would(tubes):
    some, whole = Lattice(tubes.surface), Lattice(tubes.surface)
    whole.fill()
    assert whole.known.all() and not some.known.any()
    nodes = whole.origin_mm + np.argwhere(whole.known) * whole.spacing_mm
    exact_mm2 = tubes.surface.nearest(nodes)[0] ** 2
    np.testing.assert_array_equal(whole.squared_mm2.reshape(-1), exact_mm2.astype(np.float32))
    high = np.array(whole.known.shape) - 1.0
    ends = whole.origin_mm + np.array([[0, 0, 0], high, high / 2.1, high * 3, -high]) * whole.spacing_mm
    for points in (ends, np.random.default_rng(2).uniform(ends[0], ends[2], (200, 3))):
        np.testing.assert_array_equal(some.lower_bound_squared(points), whole.lower_bound_squared(points))
    assert 0 < np.count_nonzero(some.known) < some.known.size / 2


def test_a_needle_through_the_middle_of_a_ball_is_a_radius_deep_and_one_past_it_that_far_away():
    field = distance_field(to_mesh(trimesh.creation.icosphere(subdivisions=5, radius=12.0)))
    starts = [[-50, 0, 0], [-50, 20, 0], [-50, 0, 0], [3, 0, 0], [-50, 12.5, 0]]
    stops = [[50, 0, 0], [50, 20, 0], [-20, 0, 0], [3, 0, 0], [50, 12.5, 0]]
    found = field.along(starts, stops, radius_mm=1.0)
    np.testing.assert_allclose(found.clearance_mm, [-13, 7, 7, -10, -0.5], atol=0.1)
    np.testing.assert_allclose(found.at_mm[:, 0], [0, 0, -20, 3, 0], atol=1.5)


def test_a_needle_along_the_axis_of_a_tube_is_as_deep_as_the_tube_is_wide():
    field = distance_field(to_mesh(trimesh.creation.cylinder(radius=3.0, height=80.0, sections=256)))
    found = field.along([[0, 0, -100], [1, 0, -30], [8, 0, -30]], [[0, 0, 100], [1, 0, 30], [8, 0, 30]])
    np.testing.assert_allclose(found.clearance_mm, [-3, -2, 5], atol=0.1)


def test_clearance_falls_by_the_needles_radius(boxes):
    thin, thick = (
        boxes.along([np.add(SHIFT, [50, -20, 10])], [np.add(SHIFT, [50, 70, 10])], radius) for radius in (0.0, 2.0)
    )
    assert thin.clearance_mm[0] == pytest.approx(5, abs=SINGLE)
    assert thick.clearance_mm[0] == pytest.approx(3, abs=SINGLE)


def test_nothing_asked_gives_nothing_and_many_segments_the_same_as_each_alone(boxes, monkeypatch):
    assert boxes.along(np.empty((0, 3)), np.empty((0, 3))).at_mm.shape == (0, 3)
    assert boxes.distance(np.empty((0, 3))).shape == (0,)
    starts, stops = np.random.default_rng(4).uniform(-60, 100, (2, 40, 3)) + SHIFT
    together = boxes.along(starts, stops)
    monkeypatch.setattr("liver_seg_ros.planning.clearance.CHUNK", 7)
    monkeypatch.setattr(surface_queries, "POINTS_AT_ONCE", 5)
    np.testing.assert_array_equal(boxes.along(starts, stops).clearance_mm, together.clearance_mm)
    alone = [boxes.along(starts[n : n + 1], stops[n : n + 1]).clearance_mm[0] for n in range(40)]
    np.testing.assert_allclose(alone, together.clearance_mm, atol=TOLERANCE_MM)


def test_what_is_no_point_is_refused_in_one_line(boxes):
    with pytest.raises(ValueError, match=r"starts: row 1 is \[1.0, nan, 0.0\]; coordinates must be finite"):
        boxes.along([[0, 0, 0], [1, np.nan, 0]], [[0, 0, 0], [0, 0, 0]])
    with pytest.raises(ValueError, match="points: row 0"):
        boxes.distance([[np.inf, 0, 0]])
    with pytest.raises(ValueError, match=r"points of shape \(3,\)"):
        boxes.distance([0, 0, 0])
    with pytest.raises(ValueError, match="1 starts and 2 stops"):
        boxes.along([[0, 0, 0]], [[0, 0, 0], [1, 1, 1]])
    with pytest.raises(ValueError, match="radius of -1 mm"):
        boxes.along([[0, 0, 0]], [[1, 0, 0]], -1)


def test_a_structure_without_a_mesh_has_no_field_and_an_empty_mesh_is_refused():
    assert distance_fields([]) == {}
    nothing = Mesh(TUMOR, np.empty((0, 3), np.float32), np.empty((0, 3), np.int32), np.empty((0, 3), np.float32))
    with pytest.raises(ValueError, match="mesh of tumor has no triangles"):
        distance_field(nothing)


def test_one_voxel_has_a_field():
    array = np.zeros((5, 5, 5), np.uint8)
    array[2, 2, 2] = TUMOR.value
    mask = structure_mask(LabelVolume(array, Geometry((5, 5, 5))), TUMOR)
    field = distance_field(surface_to_mesh(extract_surface(mask), mask))
    found = field.along([[2, 2, -50], [2, 12, -50]], [[2, 2, 50], [2, 12, 50]])
    assert -1 < found.clearance_mm[0] < 0
    assert found.clearance_mm[1] == pytest.approx(9.5, abs=0.6)


def test_the_promised_tolerance() -> None:
    assert TOLERANCE_MM == 0.1
