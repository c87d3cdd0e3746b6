# SPDX-License-Identifier: Apache-2.0
"""Organs that only a map of the surroundings shows are kept clear of, and labels and HU know better."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import AORTA, BONE, COLON, LIVER, LUNG, TUMOR
from liver_seg_ros.planning.anatomy import prepare_anatomy
from liver_seg_ros.planning.body import find_body
from liver_seg_ros.planning.clearance import distance_field
from liver_seg_ros.planning.limits import LEAST_CLEARANCE_MM
from liver_seg_ros.planning.nearest_labels import labels_at
from liver_seg_ros.planning.obstacles_by_hu import find_by_hu
from liver_seg_ros.planning.obstacles_by_map import find_by_map
from liver_seg_ros.planning.questions import Question, answer
from liver_seg_ros.planning.ranking import Limits, rank_trajectories
from liver_seg_ros.volume import LabelVolume, Volume

#: Labels of 120 mm and a map of 2.5 mm voxels over the same place and 10 mm more.
GRID, COARSE = Geometry((60, 60, 60), (2.0, 2.0, 2.0)), Geometry((56, 56, 56), (2.5, 2.5, 2.5), (-10.0, -10.0, -10.0))
LIVER_MM, LIVER_RADIUS_MM = np.array([60.0, 60.0, 60.0]), 30.0
LESION_RADIUS_MM = 8.0
AORTA_MM, AORTA_RADIUS_MM = np.array([60.0, 105.0, 60.0]), 18.0  # into the liver by 3 mm
COLON_MM, COLON_RADIUS_MM = np.array([12.0, 60.0, 60.0]), 11.0


def ball(geometry: Geometry, center_mm: np.ndarray, radius_mm: float) -> np.ndarray:
    k, j, i = np.indices(geometry.shape)
    points = geometry.index_to_lps(np.stack([i, j, k], axis=-1).reshape(-1, 3))
    return (np.linalg.norm(points - center_mm, axis=1) <= radius_mm).reshape(geometry.shape)


@pytest.fixture(scope="module")
def labels() -> LabelVolume:
    array = ball(GRID, LIVER_MM, LIVER_RADIUS_MM).astype(np.uint8)
    array[ball(GRID, LIVER_MM, LESION_RADIUS_MM)] = TUMOR.value
    return LabelVolume(array, GRID, "case")


@pytest.fixture(scope="module")
def surroundings() -> LabelVolume:
    array = np.zeros(COARSE.shape, np.uint8)
    array[ball(COARSE, LIVER_MM, LIVER_RADIUS_MM - 5)] = LIVER.value
    array[ball(COARSE, AORTA_MM, AORTA_RADIUS_MM)] = AORTA.value
    array[ball(COARSE, COLON_MM, COLON_RADIUS_MM)] = COLON.value
    return LabelVolume(array, COARSE, "case")


@given(
    spacing=st.tuples(*[st.floats(0.7, 4.0)] * 3),
    origin=st.tuples(*[st.floats(-8, 8)] * 3),
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
)
@settings(max_examples=25, deadline=None)
def test_labels_at_another_grids_points_are_those_of_the_voxels_they_lie_in(spacing, origin, turn) -> None:
    rng = np.random.default_rng(1)
    direction = tuple(float(v) for v in Rotation.from_euler("xyz", turn, degrees=True).as_matrix().ravel())
    there = LabelVolume(
        rng.integers(1, 20, (7, 6, 5)).astype(np.uint8), Geometry((5, 6, 7), spacing, origin, direction)
    )
    geometry = Geometry((6, 5, 4), (2.0, 1.0, 3.0), (-3.0, 0.0, -4.0))
    found = labels_at(there, geometry)
    k, j, i = np.indices(geometry.shape)
    index = there.geometry.lps_to_index(geometry.index_to_lps(np.stack([i, j, k], axis=-1).reshape(-1, 3)))
    nearest = np.rint(index).astype(int)
    inside = ((nearest >= 0) & (nearest < there.geometry.size)).all(axis=1)
    expected = np.zeros(len(index), np.uint8)
    expected[inside] = there.array[tuple(nearest[inside].T[::-1])]
    between = (np.abs(np.abs(index - np.floor(index)) - 0.5) < 1e-6).any(axis=1)  # on a border either is right
    assert (found.ravel() == expected)[~between].all()


def test_organs_of_the_map_are_obstacles_but_for_what_is_labelled(labels, surroundings) -> None:
    found = find_by_map(surroundings, labels, [])
    assert found.found == (AORTA, COLON)
    aorta, colon = (distance_field(mesh) for mesh in found.meshes)
    below = AORTA_MM + np.array([0, AORTA_RADIUS_MM + 6.0, 0])
    assert aorta.distance([below])[0] == pytest.approx(6, abs=1.5)
    assert colon.distance([COLON_MM + np.array([0, 0, 25.0])])[0] == pytest.approx(25 - COLON_RADIUS_MM, abs=1.5)
    # What of it lies in the labelled liver is liver.
    assert aorta.distance([LIVER_MM + np.array([0, LIVER_RADIUS_MM - 2.5, 0])])[0] > 0
    assert find_by_map(surroundings, labels, [AORTA]).found == (COLON,)


def test_a_map_of_another_place_is_refused(labels, surroundings) -> None:
    elsewhere = Geometry(COARSE.size, COARSE.spacing_mm, (900.0, 0.0, 0.0))
    with pytest.raises(InputError, match="do not meet anywhere; give the map of this CT"):
        find_by_map(LabelVolume(surroundings.array, elsewhere, "other"), labels, [])


def test_trajectories_keep_clear_of_it_and_say_so(labels, surroundings) -> None:
    anatomy = prepare_anatomy(labels, surroundings=surroundings)
    rng = np.random.default_rng(0)
    around = rng.normal(size=(300, 3))
    entries = LIVER_MM + 70 * around / np.linalg.norm(around, axis=1, keepdims=True)
    limits = Limits()
    ranking = rank_trajectories(anatomy, LIVER_MM, entries, limits, count=300, apart_mm=0)
    assert ranking.rejected["clearance to colon by map"] > 5 and ranking.rejected["clearance to aorta by map"] > 5
    for trajectory in ranking.trajectories:
        ways = np.linspace(trajectory.evaluation.trajectory.entry_mm, LIVER_MM, 200)
        gap_mm = np.linalg.norm(ways - COLON_MM, axis=1).min() - COLON_RADIUS_MM - limits.needle_radius_mm
        assert gap_mm > LEAST_CLEARANCE_MM[COLON] - 1.5
        by_map = {c.title for c in trajectory.evaluation.clearances if c.by_map}
        assert by_map == {"aorta by map", "colon by map"}
    answers = answer(anatomy, Question(0, limits, entries_mm=entries))
    assert any(line.startswith("Kept clear of by the map of the surroundings: aorta, colon.") for line in answers.notes)
    assert answers.to_dict()["by_map"] == {"found": ["aorta", "colon"], "why_not": ""}
    assert "aorta" not in answers.unlabelled and "duodenum" in answers.unlabelled


def test_bone_counts_where_either_shows_it(torso) -> None:
    """A plate of bone that only the map shows, in the fat before the liver; and not where there is a label."""
    labels, ct = torso.labels, torso.ct
    center = np.rint(labels.geometry.lps_to_index([torso.center_mm])[0]).astype(int)
    j = int(np.flatnonzero(torso.distance_mm(_column(ct, center)) < -6)[0])  # 6 mm below the skin in front
    plate = np.zeros(ct.array.shape, np.uint8)
    plate[center[2] - 3 : center[2] + 3, j : j + 2, center[0] - 4 : center[0] + 4] = BONE.value
    plate[labels.array > 0] = BONE.value
    body = find_body(ct)
    without = find_by_hu(ct, labels, body)
    found = find_by_hu(ct, labels, body, LabelVolume(plate, ct.geometry, ct.uid))
    place = ct.geometry.index_to_lps([(center[0], j + 0.5, center[2])])
    bone, before = (distance_field(next(m for m in f.meshes if m.structure == BONE)) for f in (found, without))
    assert bone.distance(place)[0] < 0 < 5 < before.distance(place)[0]
    assert bone.distance([torso.center_mm])[0] > 10 and LUNG in found.found


def _column(ct: Volume, center: np.ndarray) -> np.ndarray:
    """`(J, 3)` LPS of the voxels from front to back through `center`."""
    j = np.arange(ct.geometry.size[1])
    return ct.geometry.index_to_lps(np.stack([np.full_like(j, center[0]), j, np.full_like(j, center[2])], axis=1))
