# SPDX-License-Identifier: Apache-2.0
"""Ablation: the ellipsoid's own geometry against brute force, and what it covers of bodies of known shape."""

from __future__ import annotations

import json
from inspect import signature

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import GALLBLADDER, LIVER, TUMOR
from liver_seg_ros.planning.ablation import check_ablation
from liver_seg_ros.planning.ablation_zone import AblationZone
from liver_seg_ros.vessel_tree import EMPTY_TREE
from liver_seg_ros.volume import LabelVolume

GRID = Geometry((100, 80, 80), (0.8, 1.0, 1.0))
MIDDLE = (40.0, 40.0, 40.0)

radii = st.floats(2, 40)


def surface_of(zone: AblationZone, rings: int = 1500) -> np.ndarray:
    """`(rings * 60, 3)` points on the zone's surface."""
    axis = np.array(zone.axis)
    side = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    side /= np.linalg.norm(side)
    angle, turn = np.meshgrid(np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, 60, endpoint=False))
    around = np.cos(turn)[..., None] * side + np.sin(turn)[..., None] * np.cross(axis, side)
    points = zone.along_mm * np.cos(angle)[..., None] * axis + zone.across_mm * np.sin(angle)[..., None] * around
    return (points + zone.center_mm).reshape(-1, 3)


@settings(max_examples=30)
@given(along=radii, across=radii, seed=st.integers(0, 2**32 - 1))
def test_depth_is_the_distance_to_the_surface_with_the_right_sign(along, across, seed):
    random = np.random.default_rng(seed)
    zone = AblationZone(tuple(random.uniform(-500, 500, 3)), tuple(random.normal(size=3)), along, across)
    axis, center = np.array(zone.axis), np.array(zone.center_mm)
    special = [center, center + 0.5 * along * axis, center + along * axis, center + 2 * along * axis]
    points = np.concatenate([special, center + random.normal(0, 30, (6, 3))])
    surface = surface_of(zone)
    true = [np.linalg.norm(surface - point, axis=1).min() for point in points]
    depth = zone.depth_mm(points)
    # The rings are some 5 degrees apart around the axis.
    assert np.abs(depth) == pytest.approx(true, abs=0.06 * max(along, across))
    assert (np.abs(depth) <= np.array(true) + 1e-6).all()
    assert np.array_equal(depth[4:] > 0, zone.contains(points[4:]))
    assert depth[0] == pytest.approx(min(along, across)) and depth[2] == pytest.approx(0, abs=1e-6)
    assert depth[3] == pytest.approx(-along)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), across=st.floats(10, 20), radius_mm=st.floats(0, 5))
def test_the_length_of_a_vessel_inside_is_that_where_its_wall_reaches_in(seed, across, radius_mm):
    random = np.random.default_rng(seed)
    zone = AblationZone((1.0, 2, 3), tuple(random.normal(size=3)), 15.0, across)
    start, along = random.uniform(-30, 30, 3), random.normal(0, 30, 3)
    steps = np.linspace(0, 1, 20_001)
    reaches_in = zone.depth_mm(start + steps[:, None] * along) > -radius_mm
    length = zone.length_inside_mm(start[None], along[None], np.array([radius_mm]))[0]
    # Along a vessel that grazes the zone a tenth of a mm of distance is a few mm of length.
    surely = zone.depth_mm(start + steps[:, None] * along) > -radius_mm + 0.1
    assert surely.mean() * np.linalg.norm(along) - 0.01 <= length <= reaches_in.mean() * np.linalg.norm(along) + 0.01


def test_a_vessel_of_no_length_has_none_inside():
    zone = AblationZone((0.0, 0, 0), (0.0, 0, 1), 10, 10)
    assert zone.length_inside_mm(np.zeros((1, 3)), np.zeros((1, 3)), np.ones(1)) == 0.0


def test_a_zone_on_a_trajectory_lies_along_it_and_beyond_the_target():
    zone = AblationZone.on_trajectory((0.0, 0, 0), (0.0, 0, 50), 20, 10, offset_mm=5)
    assert zone.center_mm == (0, 0, 55) and zone.axis == (0, 0, 1)
    assert zone.contains([[0, 0, 74.9], [0, 9.9, 55]]).all() and not zone.contains([[0, 0, 75.1], [0, 10.1, 55]]).any()
    assert zone.volume_ml == pytest.approx(4 / 3 * np.pi * 2.0)


def test_a_tumor_in_the_middle_of_a_zone_has_the_difference_of_the_radii_as_margin(painted):
    labels = painted(GRID, (LIVER.value, MIDDLE, 36), (TUMOR.value, MIDDLE, 10))
    zone = AblationZone.on_trajectory((40, 0, 40), MIDDLE, 16, 14)
    check = check_ablation(labels, EMPTY_TREE, zone, margin_mm=3)
    assert check.tumor is not None
    assert check.tumor.covered == check.tumor.covered_with_margin == 1.0
    assert check.tumor.smallest_margin_mm == pytest.approx(4.0, abs=check.tumor.uncertainty_mm)
    assert abs(check.tumor.smallest_at_mm[1] - 40) < 5  # at the waist, not at the tips
    ball_ml = 4 / 3 * np.pi * 10**3 / 1000
    assert check.tumor.volume_ml == pytest.approx(ball_ml, rel=0.01)
    assert check.healthy_liver_ml == pytest.approx(zone.volume_ml - ball_ml, rel=0.01)
    assert check.outside_liver_ml == pytest.approx(0, abs=0.1) and check.others == check.vessels == ()
    too_small = check_ablation(labels, EMPTY_TREE, zone, margin_mm=10).tumor
    grown = 20**3
    assert too_small is not None and too_small.covered == 1.0
    assert too_small.covered_with_margin == pytest.approx(16 * 14**2 / grown, rel=0.05)


def test_a_zone_beside_the_tumor_leaves_some_and_says_where(painted):
    labels = painted(GRID, (LIVER.value, MIDDLE, 36), (TUMOR.value, MIDDLE, 10))
    zone = AblationZone.on_trajectory((40, 0, 40), MIDDLE, 12, 12, offset_mm=6)
    tumor = check_ablation(labels, EMPTY_TREE, zone).tumor
    assert tumor is not None and 0.5 < tumor.covered < 1.0
    assert tumor.smallest_margin_mm == pytest.approx(-4.0, abs=tumor.uncertainty_mm)
    assert tumor.smallest_at_mm == pytest.approx((40, 30, 40), abs=2)


def test_the_margin_is_asked_for_inside_the_liver_only(painted):
    labels = painted(GRID, (LIVER.value, (40, 40, 20), 20), (TUMOR.value, (40, 40, 34), 6))  # under the capsule
    zone = AblationZone((40, 40, 32), (0, 0, 1), 13, 13)
    check = check_ablation(labels, EMPTY_TREE, zone, margin_mm=5)
    assert check.tumor is not None and check.tumor.covered_with_margin == 1.0
    assert check.outside_liver_ml > 1.0


def test_vessels_inside_are_listed_with_their_length_and_cool_from_a_radius_on(painted, fork):
    labels = painted(GRID, (LIVER.value, MIDDLE, 36))
    zone = AblationZone((15, 30, 30), (0, 1, 0), 20, 10)
    (trunk,) = check_ablation(labels, fork, zone).vessels
    assert (trunk.branch, trunk.generation, trunk.radius_mm, trunk.heat_sink) == (0, 0, 4.0, True)
    assert trunk.length_mm == pytest.approx(2 * (10 + 4), abs=1e-6)  # across the zone, with the vessel's own radius
    at_fork = check_ablation(labels, fork, AblationZone((40, 30, 30), (1, 0, 0), 12, 12)).vessels
    assert {vessel.branch: vessel.heat_sink for vessel in at_fork} == {0: True, 1: True, 2: False}
    assert [vessel.radius_mm for vessel in at_fork] == [4.0, 2.0, 1.0]


def test_other_structures_are_found_with_their_distance_or_how_deep_they_reach_in(painted):
    bladder = (GALLBLADDER.value, (40, 40, 66), 8)
    labels = painted(GRID, (LIVER.value, MIDDLE, 16), bladder)
    half_diagonal = np.linalg.norm(GRID.spacing_mm) / 2
    for along, distance in ((12, 6.0), (22, -4.0)):
        (other,) = check_ablation(labels, EMPTY_TREE, AblationZone(MIDDLE, (0, 0, 1), along, 12)).others
        assert other.structure == GALLBLADDER and other.distance_mm == pytest.approx(distance, abs=half_diagonal)
        assert other.at_mm == pytest.approx((40, 40, 58), abs=2.5)
        assert (other.inside_ml > 0) == (distance < 0)
    near = check_ablation(labels, EMPTY_TREE, AblationZone((40, 40, 20), (0, 0, 1), 5, 5))
    assert near.others == ()  # more than 20 mm away


def test_the_lesion_is_the_nearest_or_the_one_asked_for(painted):
    labels = painted(GRID, (TUMOR.value, (20, 40, 40), 8), (TUMOR.value, (60, 40, 40), 4))
    zone = AblationZone((58, 40, 40), (1, 0, 0), 9, 9)
    nearest, first = (check_ablation(labels, EMPTY_TREE, zone, lesion=n).tumor for n in (None, 0))
    assert nearest is not None and (nearest.lesion, nearest.covered) == (1, 1.0)
    assert first is not None and (first.lesion, first.covered) == (0, 0.0)
    with pytest.raises(InputError, match="lesion 2 is not there"):
        check_ablation(labels, EMPTY_TREE, zone, lesion=2)


def test_nothing_one_voxel_and_a_zone_outside_the_scan_have_an_answer(painted, fork):
    zone = AblationZone((0, 0, 0), (0, 0, 1), 10, 10)  # an eighth of it in the scan
    nothing = check_ablation(LabelVolume(np.zeros(GRID.shape, np.uint8), GRID), EMPTY_TREE, zone)
    assert nothing.tumor is None and nothing.healthy_liver_ml == 0 and nothing.outside_liver_ml == zone.volume_ml
    one = check_ablation(painted(GRID, (TUMOR.value, (0, 0, 0), 0.1)), fork, zone).tumor
    assert one is not None and (one.covered, one.covered_with_margin) == (1.0, 1.0)
    assert one.smallest_margin_mm == pytest.approx(9.5)
    away = check_ablation(painted(GRID, (TUMOR.value, MIDDLE, 5)), fork, AblationZone((500, 0, 0), (0, 0, 1), 10, 10))
    assert away.tumor is not None and away.tumor.covered == 0 and away.healthy_liver_ml == 0
    assert json.loads(json.dumps(away.to_dict(), allow_nan=False))["zone"]["along_mm"] == 10


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (((0, 0, 0), (0, 0, 0), 10, 10), "a direction"),
        (((0, np.nan, 0), (0, 0, 1), 10, 10), "finite numbers"),
        (((0, 0, 0), (0, 0, 1), 0, 10), "positive radii"),
    ],
)
def test_a_zone_that_is_none_is_refused(arguments, line):
    with pytest.raises(InputError, match=line):
        AblationZone(*arguments)


def test_a_needle_without_length_or_a_negative_margin_is_refused(painted, fork):
    with pytest.raises(InputError, match="not two places"):
        AblationZone.on_trajectory(MIDDLE, MIDDLE, 10, 10)
    with pytest.raises(InputError, match="no negative"):
        check_ablation(painted(GRID), fork, AblationZone(MIDDLE, (0, 0, 1), 9, 9), margin_mm=-1)
    with pytest.raises(InputError, match="no negative"):
        check_ablation(painted(GRID), fork, AblationZone(MIDDLE, (0, 0, 1), 9, 9), heat_sink_radius_mm=-0.1)


def test_the_margin_is_5_mm_and_a_vessel_cools_from_3_mm_in_diameter_unless_others_are_asked_for(painted):
    labels = painted(GRID, (LIVER.value, MIDDLE, 36), (TUMOR.value, MIDDLE, 10))
    zone = AblationZone(MIDDLE, (0, 0, 1), 12, 12)
    check = check_ablation(labels, EMPTY_TREE, zone)
    assert check.margin_mm == 5
    assert signature(check_ablation).parameters["heat_sink_radius_mm"].default == 1.5
    for margin_mm in (0, 0.5):
        assert check_ablation(labels, EMPTY_TREE, zone, margin_mm, 0).margin_mm == margin_mm


@pytest.mark.parametrize("margin_mm", [2.0, 5.0, 10.0])
def test_the_share_with_margin_is_that_of_all_voxels_within_it(painted, margin_mm):
    """In voxels of 0.5 mm, all of the liver by their distance from the tumor's voxels."""
    grid = Geometry((70, 70, 70), (0.5, 0.5, 0.5))
    labels = painted(grid, (LIVER.value, (17, 17, 17), 17), (TUMOR.value, (17, 17, 17), 4))
    zone = AblationZone((17, 17, 17), (0, 0, 1), 9, 7)
    tumor = check_ablation(labels, EMPTY_TREE, zone, margin_mm).tumor
    k, j, i = np.nonzero(labels.array)
    points = grid.index_to_lps(np.stack([i, j, k], axis=-1))
    k, j, i = np.nonzero(labels.array == TUMOR.value)
    to_tumor_mm = cKDTree(grid.index_to_lps(np.stack([i, j, k], axis=-1))).query(points)[0]
    near = to_tumor_mm <= margin_mm + 0.25  # from the tumor's surface, half a voxel beyond its voxels' centers
    assert tumor is not None
    assert tumor.covered_with_margin == pytest.approx(np.mean(zone.contains(points[near])), abs=1e-9)
