# SPDX-License-Identifier: Apache-2.0
"""Ranking: the limits, the front, the spread, the target; on a patient of known shapes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import BONE, LIVER, TUMOR, VESSEL
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.anatomy import Anatomy
from liver_seg_ros.planning.clearance import distance_fields
from liver_seg_ros.planning.limits import Limits
from liver_seg_ros.planning.ranking import APART_MM, pareto_layers, rank_trajectories
from liver_seg_ros.planning.target import lesion_target
from liver_seg_ros.planning.trajectory import evaluate_trajectories
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries
from liver_seg_ros.vessel_tree import EMPTY_TREE
from liver_seg_ros.volume import LabelVolume

TARGET = (20.0, 0.0, 0.0)


def mesh(structure, shape) -> Mesh:
    return Mesh(
        structure,
        shape.vertices.astype(np.float32),
        shape.faces.astype(np.int32),
        shape.vertex_normals.astype(np.float32),
    )


@pytest.fixture(scope="module")
def patient() -> Anatomy:
    """A liver of 60 mm around zero, a vessel along z at x = -20, a rib beside it at x = 75."""
    vessel = trimesh.creation.cylinder(radius=3.0, height=80.0, sections=64).apply_translation((-20, 0, 0))
    meshes = (
        mesh(LIVER, trimesh.creation.icosphere(subdivisions=4, radius=60.0)),
        mesh(VESSEL, vessel),
        mesh(BONE, trimesh.creation.box(bounds=((70, -50, -6), (80, 50, 6)))),
    )
    labels = LabelVolume(np.zeros((2, 2, 2), np.uint8), Geometry((2, 2, 2)))
    return Anatomy(labels, meshes, EMPTY_TREE, distance_fields(meshes))


@pytest.fixture(scope="module")
def entries():
    """Points all around, 90 mm from zero."""
    return np.asarray(trimesh.creation.icosphere(subdivisions=4, radius=90.0).vertices)


def test_each_way_keeps_to_the_limits_and_each_rejected_one_is_counted_once(patient, entries):
    limits = Limits(max_length_mm=95, max_entry_angle_deg=15, least_clearance_mm={VESSEL: 4.0, BONE: 2.0})
    found = rank_trajectories(patient, TARGET, entries, limits, count=1000, apart_mm=0)
    assert found.candidates == len(entries)
    assert found.accepted + sum(found.rejected.values()) == found.candidates
    assert set(found.rejected) == {"length", "clearance to bone", "entry angle"}  # what is short is far from the vessel
    assert found.rejected["length"] == (np.linalg.norm(entries - TARGET, axis=1) > 95).sum()
    assert len(found.trajectories) == found.accepted > 50
    for way in found.trajectories:
        assert way.evaluation.length_mm <= 95
        assert way.evaluation.entry_angle_deg <= 15
        assert way.evaluation.clearance_mm(BONE) >= 2
        assert way.clearance_mm == way.evaluation.clearance_mm(VESSEL)  # a rib is in the way, not in danger
        assert way.clearance_mm == way.evaluation.clearance_mm(way.nearest)


def test_limit_by_limit_is_the_same_as_all_answers_and_then_the_limits(patient, entries):
    limits = Limits(max_length_mm=110, max_entry_angle_deg=12, least_clearance_mm={VESSEL: 15.0, BONE: 8.0, LIVER: 1.0})
    found = rank_trajectories(patient, TARGET, entries, limits, count=10_000, apart_mm=0)
    entries = entries[np.linalg.norm(entries - TARGET, axis=1) <= 110]
    all_of_them = evaluate_trajectories(patient, entries, np.broadcast_to(TARGET, entries.shape))
    assert all_of_them.structures == (VESSEL, BONE)
    breaks = [all_of_them.clearance_mm[:, 0] < 15, all_of_them.clearance_mm[:, 1] < 8]
    breaks.append(all_of_them.entry_angle_deg > 12)
    for n, reason in enumerate(("clearance to vessel", "clearance to bone", "entry angle")):
        assert found.rejected[reason] == (breaks[n] & ~np.any([*breaks[:n], np.zeros(len(entries))], axis=0)).sum() > 9
    accepted = np.flatnonzero(~np.any(breaks, axis=0))
    expected = {all_of_them[n].trajectory.entry_mm: all_of_them[n] for n in accepted}
    assert len(found.trajectories) == found.accepted == len(expected) > 50
    for way in found.trajectories:
        assert way.evaluation == expected[way.evaluation.trajectory.entry_mm]  # to the bit


def test_who_only_asks_for_a_limit_asks_for_fewer_distances(patient, entries, monkeypatch):
    asked = []
    real = SurfaceQueries.nearest
    monkeypatch.setattr(SurfaceQueries, "nearest", lambda self, points: asked.append(len(points)) or real(self, points))
    field, targets = patient.fields[VESSEL], np.broadcast_to([-20.0, 0.0, 0.0], entries.shape)
    exact = field.along(entries, targets, 0.75)
    whole = sum(asked)
    asked.clear()
    roughly = field.along(entries, targets, 0.75, enough_mm=0.0)
    assert sum(asked) < whole / 4  # all of them end in the vessel
    assert np.array_equal(roughly.clearance_mm < 0, exact.clearance_mm < 0)
    assert (roughly.clearance_mm >= exact.clearance_mm).all()


def test_a_vessel_in_the_way_and_bones_exclude_and_a_structure_without_a_limit_does_not(patient):
    through_vessel, through_bone, free = [-90, 0, 0], [95, 0, 0], [20, 0, 85]
    entries = [through_vessel, through_bone, free]
    found = rank_trajectories(patient, TARGET, entries)
    assert found.rejected == {"clearance to vessel": 1, "clearance to bone": 1}
    assert [way.evaluation.trajectory.entry_mm for way in found.trajectories] == [(20, 0, 85)]
    without = rank_trajectories(patient, TARGET, entries, Limits(least_clearance_mm={}))
    assert (without.accepted, without.rejected) == (3, {})
    assert {(way.clearance_mm, way.nearest) for way in without.trajectories} == {(np.inf, None)}
    json.dumps(without.to_dict(), allow_nan=False)


def test_a_way_that_leaves_the_liver_and_comes_back_is_excluded():
    two = trimesh.util.concatenate(
        [trimesh.creation.icosphere(subdivisions=3, radius=20.0).apply_translation((x, 0, 0)) for x in (0, 60)]
    )
    meshes = (mesh(LIVER, two),)
    anatomy = Anatomy(
        LabelVolume(np.zeros((2, 2, 2), np.uint8), Geometry((2, 2, 2))), meshes, EMPTY_TREE, distance_fields(meshes)
    )
    found = rank_trajectories(anatomy, (60, 0, 0), [[-40, 0, 0], [60, 50, 0], [60, 0, 60]])
    assert found.rejected == {"leaves the liver": 1}
    assert found.accepted == 2
    outside = rank_trajectories(anatomy, (0, 0, 40), [[0, 0, -40], [0, 0, 80]])  # a lesion outside of the liver
    assert outside.accepted == 2


def test_the_best_come_first_and_lie_apart(patient, entries):
    limits = Limits(max_length_mm=110)
    found = rank_trajectories(patient, TARGET, entries, limits, count=12, apart_mm=15)
    places = np.array([way.evaluation.trajectory.entry_mm for way in found.trajectories])
    gaps = np.linalg.norm(places[:, None] - places, axis=2)[~np.eye(len(places), dtype=bool)]
    assert len(places) == 12
    assert gaps.min() > 15
    everything = rank_trajectories(patient, TARGET, entries, limits, count=10_000, apart_mm=0)
    layers = [way.layer for way in everything.trajectories]
    assert layers == sorted(layers)
    best = everything.trajectories[0]
    assert best.on_front
    assert replace(found.trajectories[0], alike=0) == best
    front = [way for way in everything.trajectories if way.on_front]
    shortest = min(way.evaluation.length_mm for way in everything.trajectories)
    assert min(way.evaluation.length_mm for way in front) == shortest
    for way in everything.trajectories:
        assert any(
            better.evaluation.length_mm <= way.evaluation.length_mm and better.clearance_mm >= way.clearance_mm - 0.1
            for better in front
        )


def test_each_stands_for_the_open_ones_near_it_that_no_better_one_stands_for(patient):
    entries = np.random.default_rng(3).uniform(-1, 1, (400, 3)) * 30 + np.array(TARGET) + [0, 0, 90]
    limits = Limits(max_length_mm=200)
    everything = rank_trajectories(patient, TARGET, entries, limits, count=10_000, apart_mm=0)
    found = rank_trajectories(patient, TARGET, entries, limits, count=10_000)
    assert all(way.alike == 0 for way in everything.trajectories)
    left = {way.evaluation.trajectory.entry_mm for way in everything.trajectories}
    for way in found.trajectories:
        near = {place for place in left if np.linalg.norm(np.subtract(place, way.evaluation.trajectory.entry_mm)) <= 30}
        assert way.alike == len(near) - 1
        left -= near
    assert not left
    assert len(found.trajectories) + sum(way.alike for way in found.trajectories) == found.accepted


def test_trajectories_that_are_listed_differ_by_three_centimeters_at_the_skin():
    assert APART_MM == 30.0


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25))
def test_layers_are_those_of_taking_away_one_front_after_the_other(values):
    length, clearance = np.array(values, float).reshape(-1, 2).T
    left = set(range(len(values)))
    expected = np.zeros(len(values), int)
    layer = 0
    while left:
        front = {
            n
            for n in left
            if not any(
                length[m] <= length[n]
                and clearance[m] >= clearance[n]
                and (length[m], clearance[m]) != (length[n], clearance[n])
                for m in left
            )
        }
        expected[list(front)] = layer
        left -= front
        layer += 1
    assert pareto_layers(length, clearance).tolist() == expected.tolist()


def test_nothing_to_choose_from_gives_an_empty_ranking(patient):
    found = rank_trajectories(patient, TARGET, np.empty((0, 3)))
    assert (found.candidates, found.accepted, found.rejected, found.trajectories) == (0, 0, {}, ())
    too_far = rank_trajectories(patient, TARGET, [[900, 0, 0]])
    assert (too_far.rejected, too_far.trajectories) == ({"length": 1}, ())
    json.dumps(found.to_dict(), allow_nan=False)


def test_what_cannot_be_ranked_is_refused_in_one_line(patient):
    with pytest.raises(InputError, match="give entry points, or the CT"):
        rank_trajectories(patient, TARGET)
    with pytest.raises(ValueError, match="target: row 0"):
        rank_trajectories(patient, (0, 0, np.nan), [[0, 0, 0]])
    with pytest.raises(ValueError, match=r"target of shape \(1, 2\)"):
        rank_trajectories(patient, (0, 0), [[0, 0, 0]])
    for wrong in ({"max_length_mm": 0}, {"max_entry_angle_deg": 200}, {"needle_radius_mm": float("nan")}):
        with pytest.raises(ValueError, match="give"):
            Limits(**wrong)


def test_a_lesion_is_aimed_at_in_its_center_and_a_hollow_one_where_it_is_deepest():
    k, j, i = np.indices((40, 60, 80))
    array = np.zeros((40, 60, 80), np.uint8)
    array[(k - 20) ** 2 + (j - 30) ** 2 + (i - 20) ** 2 < 9**2] = TUMOR.value
    shell = np.sqrt((k - 20.0) ** 2 + (j - 30) ** 2 + (i - 60) ** 2)
    array[(shell > 11) & (shell < 16)] = TUMOR.value  # more voxels
    labels = LabelVolume(array, Geometry((80, 60, 40), (1.0, 1.0, 1.5), (5.0, 6.0, 7.0)))
    assert lesion_target(labels, 1) == pytest.approx((25, 36, 37), abs=1e-6)
    hollow = np.array(lesion_target(labels, 0))
    at = np.rint(labels.geometry.lps_to_index(hollow)).astype(int)
    assert array[tuple(at[::-1])] == TUMOR.value
    assert 12.5 <= np.linalg.norm(at - [60, 30, 20]) <= 14.5
    with pytest.raises(InputError, match=r"no lesion 2 .*from 0 to 1"):
        lesion_target(labels, 2)
    with pytest.raises(InputError, match="no tumor is labelled"):
        lesion_target(LabelVolume(np.zeros((2, 2, 2), np.uint8), Geometry((2, 2, 2))))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_bent_lesion_is_aimed_at_in_the_voxel_that_is_farthest_from_all_that_is_not_it(order):
    """A thin hook, around its center of mass, in voxels of three lengths: depth by distances to every voxel outside."""
    array = np.zeros((30, 30, 30), np.uint8)
    array[2:28, 3:8, 3:8] = TUMOR.value
    array[2:7, 3:28, 3:9] = TUMOR.value
    array[20:22, 20:22, 20:22] = TUMOR.value  # smaller, and so the second
    labels = LabelVolume(
        np.ascontiguousarray(array.transpose(order)), Geometry((30, 30, 30), (0.7, 1.1, 2.3), (4, 5, 6))
    )
    target = lesion_target(labels)
    assert target == lesion_target(labels, 0)
    k, j, i = np.nonzero(labels.array == 0)
    outside = cKDTree(labels.geometry.index_to_lps(np.stack([i, j, k], axis=1)))
    k, j, i = np.nonzero(labels.array)
    places = labels.geometry.index_to_lps(np.stack([i, j, k], axis=1))
    depth_mm = outside.query(places)[0]
    assert np.linalg.norm(places - target, axis=1).min() < 1e-9
    assert outside.query(target)[0] == pytest.approx(depth_mm.max())
