# SPDX-License-Identifier: Apache-2.0
"""Which tree is portal and which hepatic, and how sure that is, of vessels whose kind is known by where they lie.

The hilum is at the origin and the confluence 60 mm above it; all vessels lie alike far from both or mirrored, so that
one thing at a time tells.
"""

from __future__ import annotations

import numpy as np
import pytest

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, PORTAL_VEIN, VENA_CAVA, VESSEL
from liver_seg_ros.reconstruction.vessels.branches import Forest, build_tree
from liver_seg_ros.reconstruction.vessels.vein_kinds import TreeKinds, kinds_of_trees
from liver_seg_ros.reconstruction.vessels.vein_places import VeinPlaces, vein_places
from liver_seg_ros.volume import LabelVolume

HILUM, CONFLUENCE = np.zeros(3), np.array([0.0, 0.0, 60.0])
Line = tuple[tuple[float, float, float], tuple[float, float, float], float, float]


def _kinds(*lines: Line) -> TreeKinds:
    """The kinds of straight vessels, each from, to, and its radius at both in mm, in their order."""
    points, radius, parent = [], [], []
    for start, end, first_mm, last_mm in lines:
        count = int(np.linalg.norm(np.subtract(end, start)))
        part = np.linspace(0, 1, count)[:, None]
        parent += [-1, *range(len(parent), len(parent) + count - 1)]
        points.append(np.array(start) * (1 - part) + np.array(end) * part)
        radius.append(np.linspace(first_mm, last_mm, count))
    forest = Forest(VESSEL, np.concatenate(points), np.concatenate(radius), np.array(parent, np.int64))
    tree = build_tree([forest])
    kinds = kinds_of_trees(tree, VeinPlaces(HILUM, CONFLUENCE, True))
    order = []  # trees are numbered by their length
    for start, _, _, _ in lines:
        node = int(np.argmin(np.linalg.norm(tree.points_mm - start, axis=1)))
        order.append(tree.branches[tree.branch[node]].tree)
    return TreeKinds(tuple(kinds.structures[n] for n in order), kinds.confidence[order])


def test_the_wide_end_lies_toward_its_own_place() -> None:
    """An upright vessel midway in height: what is wide below is portal, what is wide above hepatic."""
    wide_below = _kinds(((25, 0, -60), (25, 0, 120), 4.0, 1.5))
    wide_above = _kinds(((25, 0, 120), (25, 0, -60), 4.0, 1.5))
    assert wide_below.structures == (PORTAL_VEIN,) and wide_above.structures == (HEPATIC_VEIN,)


@pytest.mark.parametrize(("up", "kind"), [(0.6, PORTAL_VEIN), (-0.6, HEPATIC_VEIN)])
def test_a_vessel_points_at_the_place_that_it_comes_from(up: float, kind: object) -> None:
    """It begins equally far from both, away from one of them, and comes no nearer to the other."""
    found = _kinds(((40.0, 0.0, 30.0), (160.0, 0.0, 30.0 + 150 * up), 6.0, 1.0))
    assert found.structures == (kind,)


def test_trees_that_tell_each_other_apart_but_not_which_is_which_stay_open() -> None:
    """Both lie side by side on the plane midway between the places: surely of two kinds, and nothing says which."""
    found = _kinds(((40, -60, 30), (40, 60, 30), 3.0, 3.0), ((48, -60, 30), (48, 60, 30), 3.0, 3.0))
    assert found.structures == (VESSEL, VESSEL) and found.confidence == pytest.approx(0.5, abs=0.02)


def test_of_trees_that_share_a_part_one_that_is_known_names_the_other() -> None:
    known = ((12, 0, -10), (210, 0, -110), 6.0, 3.0)
    beside = ((80, 6, -45), (210, 6, -111), 2.0, 2.0)
    alone, together = _kinds(beside), _kinds(beside, known)
    assert together.structures == (HEPATIC_VEIN, PORTAL_VEIN)
    assert alone.structures != (HEPATIC_VEIN,)


def test_a_map_with_the_portal_vein_moves_both_places_half_way() -> None:
    grid = Geometry((80, 80, 80), (2.0, 2.0, 2.0), (-80.0, -80.0, -80.0))
    points = grid.index_to_lps(np.indices(grid.shape)[::-1].transpose(1, 2, 3, 0))
    labels = LabelVolume(np.where(np.linalg.norm(points, axis=-1) < 60, LIVER.value, 0).astype(np.uint8), grid)
    around = np.zeros(grid.shape, np.uint8)
    around[(np.abs(points[..., :2] - (10, 40)) < 6).all(axis=-1)] = VENA_CAVA.value
    without = vein_places(labels, LabelVolume(around.copy(), grid))
    trunk = (np.abs(points[..., 0] - 6) < 4) & (np.abs(points[..., 1]) < 4) & (np.abs(points[..., 2] + 70) < 9)
    around[trunk] = PORTAL_VEIN.value  # below the liver, nearest to it at its upper end
    found = vein_places(labels, LabelVolume(around, grid))
    assert without is not None and found is not None
    upper_end = np.array([6.0, 0.0, -62.0])
    # The box has the hilum in the middle of the liver; so far below it there is none.
    assert np.linalg.norm(without.hilum_mm - upper_end) > 60 and found.hilum_mm == pytest.approx(without.hilum_mm)
    around[trunk] = 0
    around[(np.abs(points - (6, 4, -32)) < 5).all(axis=-1)] = PORTAL_VEIN.value
    found = vein_places(labels, LabelVolume(around, grid))
    assert found is not None
    assert found.hilum_mm == pytest.approx((without.hilum_mm + np.array([6, 4, -32])) / 2, abs=4)
    assert found.confluence_mm[2] == pytest.approx((without.confluence_mm[2] - 32 + 50) / 2, abs=3)
