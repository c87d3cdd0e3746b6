# SPDX-License-Identifier: Apache-2.0
"""What needles meet: against shapes whose answers are known, and where something is missing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import BONE, LIVER, TUMOR, VESSEL
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.anatomy import Anatomy, prepare_anatomy
from liver_seg_ros.planning.clearance import TOLERANCE_MM, distance_fields
from liver_seg_ros.planning.trajectory import Trajectory, evaluate_trajectories, evaluate_trajectory
from liver_seg_ros.planning.trajectory_values import Clearance
from liver_seg_ros.planning.vessel_crossings import vessel_crossings
from liver_seg_ros.vessel_tree import EMPTY_TREE, Branch, VesselTree
from liver_seg_ros.volume import LabelVolume

NO_LABELS = LabelVolume(np.zeros((4, 5, 6), np.uint8), Geometry((6, 5, 4)))


def mesh(structure, *shapes) -> Mesh:
    shape = trimesh.util.concatenate(shapes)
    return Mesh(
        structure,
        shape.vertices.astype(np.float32),
        shape.faces.astype(np.int32),
        shape.vertex_normals.astype(np.float32),
    )


def ball(center, radius) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=5, radius=radius).apply_translation(center)


def anatomy_of(*meshes, tree=EMPTY_TREE) -> Anatomy:
    return Anatomy(NO_LABELS, meshes, tree, distance_fields(meshes))


@pytest.fixture(scope="module")
def patient() -> Anatomy:
    """A liver of 60 mm around zero, a tumor of 10 mm at x = 20 in it, a vessel along z at x = -20, a rib at y > 70."""
    vessel = trimesh.creation.cylinder(radius=3.0, height=80.0, sections=128).apply_translation((-20, 0, 0))
    line = np.linspace([-20, 0, -40], [-20, 0, 40], 81)
    tree = VesselTree(
        line, np.full(81, 3.0), np.arange(81) - 1, np.zeros(81, np.int64), (Branch(0, -1, 0, 0, VESSEL, 80.0, 3.0),)
    )
    return anatomy_of(
        mesh(LIVER, ball((0, 0, 0), 60.0)),
        mesh(TUMOR, ball((20, 0, 0), 10.0)),
        mesh(VESSEL, vessel),
        mesh(BONE, trimesh.creation.box(bounds=((-100, 70, -5), (100, 80, 5)))),
        tree=tree,
    )


def test_a_needle_through_the_vessel_to_the_tumor(patient):
    found = evaluate_trajectory(patient, Trajectory((-100, 0, 10), (20, 0, 10), 1.0))
    assert found.length_mm == pytest.approx(120)
    assert found.length_in_liver_mm == pytest.approx(20 + np.sqrt(3500), abs=0.1)
    assert found.capsule_crossings == 1
    assert found.entry_angle_deg == pytest.approx(np.degrees(np.arcsin(10 / 60)), abs=0.5)
    assert found.clearance_mm(TUMOR) == pytest.approx(-1, abs=TOLERANCE_MM)
    assert found.clearance_mm(VESSEL) == pytest.approx(-4, abs=TOLERANCE_MM)
    assert found.clearance_mm(BONE) == pytest.approx(np.hypot(70, 5) - 1, abs=TOLERANCE_MM)
    [vessel] = [c for c in found.clearances if c.structure == VESSEL]
    assert vessel.at_mm == pytest.approx((-20, 0, 10), abs=0.2)
    [crossing] = found.vessel_crossings
    assert (crossing.branch, crossing.structure, crossing.radius_mm) == (0, VESSEL, 3.0)
    assert crossing.at_mm == pytest.approx((-20, 0, 10), abs=1e-6)
    assert crossing.along_mm == pytest.approx(80)


def test_a_needle_right_through_the_liver_and_one_past_it(patient):
    through, past = evaluate_trajectories(patient, [[0, -100, 30], [0, -100, 70]], [[0, 100, 30], [0, 100, 70]])
    assert (through.capsule_crossings, past.capsule_crossings) == (2, 0)
    assert through.length_in_liver_mm == pytest.approx(2 * np.sqrt(60**2 - 30**2), abs=0.2)
    assert through.entry_angle_deg == pytest.approx(30, abs=0.5)
    assert (past.length_in_liver_mm, past.entry_angle_deg, past.vessel_crossings) == (0, None, ())


def test_a_needle_that_begins_in_the_liver_has_no_angle_until_it_comes_back(patient):
    two = anatomy_of(mesh(LIVER, ball((0, 0, 0), 20.0), ball((60, 0, 0), 20.0)))
    inside, into_second = evaluate_trajectories(two, [[0, 0, 0], [5, 0, 0]], [[5, 0, 0], [60, 0, 0]])
    assert (inside.capsule_crossings, inside.entry_angle_deg) == (0, None)
    assert inside.length_in_liver_mm == pytest.approx(5)
    assert (into_second.capsule_crossings, into_second.entry_angle_deg) == (2, None)
    assert into_second.length_in_liver_mm == pytest.approx(15 + 20, abs=0.1)
    [both] = evaluate_trajectories(two, [[-40, 0, 0]], [[100, 0, 0]])
    assert both.capsule_crossings == 4
    assert both.length_in_liver_mm == pytest.approx(80, abs=0.2)
    assert both.entry_angle_deg == pytest.approx(0, abs=1)


def test_the_angle_is_that_of_the_first_of_two_entries():
    two = anatomy_of(mesh(LIVER, ball((0, 0, 0), 20.0), ball((60, 10, 0), 20.0)))
    [there, back] = evaluate_trajectories(two, [[-40, 10, 0], [100, 10, 0]], [[100, 10, 0], [-40, 10, 0]])
    assert there.capsule_crossings == back.capsule_crossings == 4
    assert there.entry_angle_deg == pytest.approx(30, abs=1)  # 10 mm beside the center of a ball of 20
    assert back.entry_angle_deg == pytest.approx(0, abs=1)


@pytest.mark.parametrize("radius_mm", [-1e-9, np.inf, np.nan])
def test_needles_without_a_radius_are_refused(patient, radius_mm):
    with pytest.raises(InputError, match="a needle's radius"):
        evaluate_trajectories(patient, [[0, 0, 0]], [[1, 0, 0]], radius_mm)


@settings(max_examples=50)
@given(arrays(float, (2, 6, 3), elements=st.floats(-90, 90, width=32)))
def test_lengths_crossings_and_depths_in_a_ball_are_those_of_the_closed_form(patient, ends):
    found = evaluate_trajectories(patient, *ends)
    entry, target = ends
    axis = target - entry
    squared = (axis**2).sum(axis=1)
    middle = np.divide(-(entry * axis).sum(axis=1), squared, out=np.zeros(6), where=squared > 0)
    half = np.sqrt((60**2 - ((entry + middle[:, None] * axis) ** 2).sum(axis=1)).clip(min=0) / squared.clip(min=1e-9))
    begin, end = np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
    exact = (end - begin) * np.sqrt(squared)
    nearest = np.linalg.norm(entry + middle.clip(0, 1)[:, None] * axis, axis=1)
    clear = np.abs(nearest - 60) > 0.2  # the mesh is no perfect ball: what grazes it may miss
    ends_clear = (np.abs(np.linalg.norm(ends, axis=2) - 60) > 0.2).all(axis=0) & clear & (squared > 0)
    np.testing.assert_allclose(found.length_in_liver_mm[ends_clear], exact[ends_clear], atol=1.0)
    crossings = ((middle - half > 0) & (middle - half < 1)).astype(int) + ((middle + half > 0) & (middle + half < 1))
    crossings[nearest > 60] = 0
    np.testing.assert_array_equal(found.capsule_crossings[ends_clear], crossings[ends_clear])
    field = patient.fields[LIVER].along(*ends, radius_mm=0.75)
    np.testing.assert_allclose(field.clearance_mm, nearest - 60 - 0.75, atol=TOLERANCE_MM + 0.05)


def test_a_trajectory_may_be_a_point(patient):
    inside, outside = evaluate_trajectories(patient, [[20, 0, 0], [0, 0, 90]], [[20, 0, 0], [0, 0, 90]])
    assert (inside.length_mm, inside.length_in_liver_mm, inside.capsule_crossings) == (0, 0, 0)
    assert inside.clearance_mm(TUMOR) == pytest.approx(-10.75, abs=TOLERANCE_MM)
    assert outside.clearance_mm(TUMOR) == pytest.approx(np.hypot(20, 90) - 10.75, abs=TOLERANCE_MM)


def test_what_is_not_labelled_is_infinitely_far(patient):
    nothing = prepare_anatomy(NO_LABELS)
    found = evaluate_trajectory(nothing, Trajectory((0, 0, 0), (10, 0, 0)))
    assert (found.length_mm, found.length_in_liver_mm, found.capsule_crossings) == (10, 0, 0)
    assert (found.clearances, found.vessel_crossings, found.entry_angle_deg) == ((), (), None)
    assert found.clearance_mm(BONE) == float("inf")
    assert len(evaluate_trajectories(patient, np.empty((0, 3)), np.empty((0, 3)))) == 0


def test_labels_become_an_anatomy_with_distances_and_tree():
    k, j, i = np.indices((40, 40, 40))
    labels = np.where((k - 20) ** 2 + (j - 20) ** 2 + (i - 20) ** 2 < 16**2, LIVER.value, 0).astype(np.uint8)
    labels[:, 19:22, 19:22][labels[:, 19:22, 19:22] > 0] = VESSEL.value
    anatomy = prepare_anatomy(LabelVolume(labels, Geometry((40, 40, 40))))
    assert list(anatomy.fields) == [LIVER, VESSEL]
    found = evaluate_trajectory(anatomy, Trajectory((0, 20, 20), (25, 20, 20)), least_vessel_radius_mm=0.5)
    assert [crossing.structure for crossing in found.vessel_crossings] == [VESSEL]
    assert found.capsule_crossings == 1


def test_one_is_what_it_is_among_many(patient):
    entries, targets = np.random.default_rng(3).uniform(-80, 80, (2, 50, 3))
    many = evaluate_trajectories(patient, entries, targets, 1.2)
    for number in (0, 17, -1):
        one = evaluate_trajectory(patient, Trajectory(tuple(entries[number]), tuple(targets[number]), 1.2))
        assert one.trajectory == many[number].trajectory
        assert one.vessel_crossings == many[number].vessel_crossings
        assert one.length_in_liver_mm == many[number].length_in_liver_mm
        for structure in (TUMOR, VESSEL, BONE):
            assert one.clearance_mm(structure) == pytest.approx(many[number].clearance_mm(structure), abs=TOLERANCE_MM)
    with pytest.raises(IndexError):
        many[50]


def test_an_evaluation_is_plain_json(patient):
    found = evaluate_trajectory(patient, Trajectory((-100, 0, 10), (20, 0, 10)))
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [c["structure"] for c in plain["clearances"]] == ["tumor", "vessel", "bone"]
    assert plain["vessel_crossings"][0]["structure"] == "vessel"
    assert plain["entry_mm"] == [-100, 0, 10]
    assert Clearance(VESSEL, 1.0, (0.0, 0.0, 0.0)).to_dict()["at_mm"] == [0, 0, 0]


def test_what_is_no_trajectory_is_refused_in_one_line(patient):
    with pytest.raises(ValueError, match=r"starts: row 0 is .*must be finite"):
        evaluate_trajectories(patient, [[0, np.nan, 0]], [[0, 0, 0]])
    with pytest.raises(ValueError, match=r"target_mm is .*must be finite"):
        Trajectory((0, 0, 0), (0, 0, float("inf")))
    with pytest.raises(ValueError, match="radius of -1"):
        Trajectory((0, 0, 0), (1, 0, 0), -1)
    with pytest.raises(ValueError, match="no clearance to the liver"):
        evaluate_trajectory(patient, Trajectory((0, 0, 0), (1, 0, 0))).clearance_mm(LIVER)
    with pytest.raises(ValueError, match="radius of -1"):
        evaluate_trajectories(patient, [[0, 0, 0]], [[1, 0, 0]], -1)


def test_a_needle_across_a_fork_crosses_the_branches_that_it_touches_and_are_wide_enough(fork):
    entries = np.array([[15.0, 0, 30], [45, 0, 30], [15, 0, 36], [0, 30, 30], [15, 0, 34.5]])
    targets = np.array([[15.0, 60, 30], [45, 60, 30], [15, 60, 36], [29, 30, 30], [15, 60, 34.5]])

    def branches(least_mm, needle_mm=0.75):
        found = vessel_crossings(fork, entries, targets, needle_mm, least_mm)
        return [found.branch[found.needle == n].tolist() for n in range(len(entries))]

    assert branches(0.0) == [[0], [1, 2], [], [0, 1, 2], [0]]  # along the trunk into the fork: all three
    assert branches(1.5) == [[0], [1], [], [0, 1], [0]]
    assert branches(3.0) == [[0], [], [], [0], [0]]
    assert branches(0.0, needle_mm=0.4) == [[0], [1, 2], [], [0, 1, 2], []]
    found = vessel_crossings(fork, entries, targets, 0.75, 0.0)
    np.testing.assert_allclose(found.at_mm[1:3], [[45, 20, 30], [45, 40, 30]], atol=0.5)
    np.testing.assert_allclose(found.radius_mm[:3], [4, 2, 1])


def test_a_needle_that_crosses_a_winding_branch_twice_does_so_twice():
    angle = np.linspace(0, np.pi, 41)
    arc = np.stack([20 * np.cos(angle), 20 * np.sin(angle), np.zeros(41)], axis=1)
    branch = (Branch(0, -1, 0, 0, VESSEL, 60.0, 2.0),)
    tree = VesselTree(arc, np.full(41, 2.0), np.arange(41) - 1, np.zeros(41, np.int64), branch)
    found = vessel_crossings(tree, np.array([[-40.0, 5, 0]]), np.array([[40.0, 5, 0]]), 0.5, 1.0)
    assert found.branch.tolist() == [0, 0]
    np.testing.assert_allclose(np.abs(found.at_mm[:, 0]), np.sqrt(20**2 - 5**2), atol=0.1)
    assert found.along_mm[0] < found.along_mm[1]


@settings(max_examples=30)
@given(arrays(float, (2, 10, 3), elements=st.floats(-10, 70, width=32)), st.floats(0, 3))
def test_crossings_are_those_of_comparing_all_with_all(fork, ends, radius):
    found = vessel_crossings(fork, *ends, radius, 0.0)
    touched = np.zeros((10, 3), bool)
    touched[found.needle, found.branch] = True

    f = np.linspace(0, 1, 400)[:, None, None]
    axis = (1 - f) * ends[0] + f * ends[1]  # (400, 10, 3)
    gap = np.full((10, 3), np.inf)  # of needle and branch, at most half a step too large
    for parent, node in fork.edges:
        begin, vessel = fork.points_mm[parent], fork.points_mm[node] - fork.points_mm[parent]
        along = ((axis - begin) @ vessel / (vessel @ vessel)).clip(0, 1)
        distance = np.linalg.norm(axis - begin - along[..., None] * vessel, axis=2).min(axis=0)
        gap[:, fork.branch[node]] = np.minimum(gap[:, fork.branch[node]], distance - fork.radius_mm[node] - radius)
    step = np.linalg.norm(ends[1] - ends[0], axis=1)[:, None] / 399
    assert touched[gap < -1e-6].all()
    assert not touched[gap > step / 2 + 1e-6].any()
