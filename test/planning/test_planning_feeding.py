# SPDX-License-Identifier: Apache-2.0
"""Feeding vessels: near ones are found at their distance, and each voxel counts for the nearest."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, PORTAL_VEIN, TUMOR
from liver_seg_ros.planning.feeding import feeding_vessels
from liver_seg_ros.planning.nearest_vessel import Vessels
from liver_seg_ros.reconstruction.parts import lesions, surface_points, voxel_points
from liver_seg_ros.vessel_tree import EMPTY_TREE
from liver_seg_ros.volume import LabelVolume

GRID = Geometry((80, 60, 60))


def test_branches_near_a_lesion_are_found_with_distance_and_place(painted, fork):
    # The center is 12 mm from the trunk's axis: 12 - 5 - 4 is left between the surfaces.
    labels = painted(GRID, (LIVER.value, (30, 30, 30), 29), (TUMOR.value, (10, 42, 30), 5))
    (feeding,) = feeding_vessels(labels, fork, within_mm=6.0)
    trunk = feeding.vessels[0]
    assert (feeding.lesion, trunk.branch, trunk.generation, trunk.share) == (0, 0, 0, 1.0)
    assert feeding.center_mm == pytest.approx((10, 42, 30))
    assert trunk.distance_mm == pytest.approx(3.0, abs=0.87)  # half a voxel's diagonal
    assert trunk.at_mm == pytest.approx((10, 37, 30), abs=1.5)
    assert [vessel.branch for vessel in feeding.vessels] == [0]
    everything = feeding_vessels(labels, fork, within_mm=60.0)[0]
    assert {vessel.branch for vessel in everything.vessels} == {0, 1, 2}
    assert everything.within(6.0) == feeding.vessels


def test_a_vessel_through_a_lesion_touches_it_and_shares_follow_the_walls(painted, fork):
    labels = painted(GRID, (TUMOR.value, (45, 30, 30), 12), (TUMOR.value, (10, 30, 30), 3))
    large, small = feeding_vessels(labels, fork, within_mm=0.0)
    assert {vessel.branch: vessel.distance_mm for vessel in large.vessels}.keys() >= {1, 2}
    assert large.vessels[0].branch == 1 and large.vessels[0].share > 0.5  # the thicker of two symmetric ones
    assert sum(vessel.share for vessel in large.vessels) == pytest.approx(1.0)
    assert [(vessel.branch, vessel.distance_mm) for vessel in small.vessels] == [(0, 0.0)]


def test_on_a_phantom_all_branches_near_are_listed_with_the_distances_of_its_graph(phantom, portal):
    vessels = Vessels.of(portal)
    branch = portal.branch[vessels.node]
    found = feeding_vessels(phantom.labels, portal, within_mm=8.0)
    for feeding, lesion in zip(found, lesions(phantom.labels), strict=True):
        points_mm = np.concatenate([surface_points(lesion), voxel_points(lesion)])
        to_piece_mm = vessels.wall_distance_mm(points_mm).min(axis=0).clip(min=0)
        to_branch_mm = np.array([to_piece_mm[branch == number].min() for number in range(len(portal.branches))])
        listed = {vessel.branch: vessel for vessel in feeding.vessels}
        assert set(np.flatnonzero(to_branch_mm <= 8.0)) <= set(listed)
        assert sum(vessel.share for vessel in feeding.vessels) == pytest.approx(1.0)
        for number, vessel in listed.items():
            assert vessel.distance_mm == pytest.approx(to_branch_mm[number], abs=1e-9)
            assert vessel.distance_mm <= 8.0 or vessel.share > 0
            at_wall_mm = vessels[branch == number].wall_distance_mm(np.array([vessel.at_mm])).min()
            assert max(0.0, at_wall_mm) == pytest.approx(vessel.distance_mm, abs=1e-6)


def test_draining_veins_do_not_feed_where_labels_tell_them_apart(painted, fork):
    labels = painted(GRID, (TUMOR.value, (45, 30, 30), 6))
    structures = (PORTAL_VEIN, HEPATIC_VEIN, PORTAL_VEIN)
    branches = tuple(replace(b, structure=s) for b, s in zip(fork.branches, structures, strict=True))
    (feeding,) = feeding_vessels(labels, replace(fork, branches=branches), within_mm=50.0)
    assert {vessel.branch for vessel in feeding.vessels} == {0, 2}


def test_nothing_to_feed_or_to_feed_it_has_an_answer(painted, fork):
    empty = LabelVolume(np.zeros(GRID.shape, np.uint8), GRID)
    one = painted(GRID, (TUMOR.value, (0, 0, 0), 0.1))  # one voxel, in the scan's corner, outside any liver
    assert feeding_vessels(empty, fork) == ()
    assert feeding_vessels(one, EMPTY_TREE)[0].vessels == ()
    (feeding,) = feeding_vessels(one, fork)
    assert [(vessel.branch, vessel.share) for vessel in feeding.vessels] == [(0, 1.0)]
    plain = json.loads(json.dumps(feeding.to_dict(), allow_nan=False))
    assert plain["vessels"][0]["structure"] == "vessel"
    with pytest.raises(ValueError, match="negative"):
        feeding_vessels(one, fork, within_mm=-1.0)
