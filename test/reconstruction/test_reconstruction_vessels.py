# SPDX-License-Identifier: Apache-2.0
"""The vessel tree: where the vessels are, as wide as they are, without loops, from the trunk to the tips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from liver_seg_ros.evaluation.tree_scores import score_tree
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import HEPATIC_VEIN, PORTAL_VEIN, VESSEL
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.reconstruction.vessels.centerlines import nearest_ball
from liver_seg_ros.reconstruction.vessels.extraction import vessel_tree
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume

GRID = Geometry((64, 64, 64))


def tubes(*vessels):
    """The union of tubes with round ends: each a radius and the points that it runs through."""

    def inside(points):
        found = np.zeros(points.shape[:-1], bool)
        for radius, *line in vessels:
            for a, b in zip(np.array(line[:-1], float), np.array(line[1:], float), strict=True):
                t = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
                found |= np.linalg.norm(points - a - t[..., None] * (b - a), axis=-1) <= radius
        return found

    return inside


def distance_to_line(points, a, b):
    a, b = np.array(a, float), np.array(b, float)
    t = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    return np.linalg.norm(points - a - t[:, None] * (b - a), axis=1)


def assert_is_a_forest(tree: VesselTree) -> None:
    """Everything that `VesselTree` and `Branch` promise."""
    count = len(tree.points_mm)
    assert np.isfinite(tree.points_mm).all() and (tree.radius_mm > 0).all()
    assert (tree.parent < np.arange(count)).all() and (tree.parent >= -1).all()  # so there is no cycle
    assert len(tree.edges) == count - tree.tree_count
    trunks = [branch for branch in tree.branches if branch.parent < 0]
    assert [branch.tree for branch in trunks] == list(range(tree.tree_count))
    for number, branch in enumerate(tree.branches):
        nodes = np.flatnonzero(tree.branch == number)
        assert branch.number == number and (np.diff(nodes) == 1).all()
        steps = nodes[tree.parent[nodes] >= 0]
        assert (tree.parent[steps[1:]] == steps[:-1]).all()
        length = np.linalg.norm(tree.points_mm[steps] - tree.points_mm[tree.parent[steps]], axis=1)
        assert branch.length_mm == pytest.approx(length.sum())
        assert tree.radius_mm[nodes].min() <= branch.radius_mm * (1 + 1e-9)
        if branch.parent >= 0:
            before = tree.branches[branch.parent]
            assert (before.tree, before.generation) == (branch.tree, branch.generation - 1)
            assert tree.parent[nodes[0]] == np.flatnonzero(tree.branch == branch.parent)[-1]
        else:
            assert branch.generation == 0


@pytest.mark.parametrize(("seed", "spacing_mm"), [(9101, (1.2, 1.2, 1.2)), (9100, (1.0, 1.0, 1.5))])
def test_a_phantoms_vessels_are_found_where_they_are(seed, spacing_mm):
    """Terminals are counted against those whose voxels are labelled, seen or not: see `TreeScores`."""
    size = tuple(round(extent / spacing) for extent, spacing in zip((230, 230, 220), spacing_mm, strict=True))
    phantom = generate_phantom(seed, PhantomOptions(size, spacing_mm, center_mm=(0.0, 0.0, 0.0)))
    tree = vessel_tree(phantom.labels)
    assert_is_a_forest(tree)
    scores = score_tree(tree, (phantom.portal, phantom.hepatic), phantom.labels)
    assert scores.line_voxels < 0.5
    assert scores.radius < 0.10
    assert scores.missed < 0.005
    assert scores.terminals == pytest.approx(scores.true_terminals, rel=0.10)
    assert scores.together > 0.6  # half where portal and hepatic veins are one tree
    assert scores.downstream > 0.85


@pytest.mark.parametrize("radius_mm", [1.5, 3.0, 6.0])
@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.3, 0.2, 1.0), (1.0, -1.0, 0.5)])
def test_a_straight_tube_on_an_oblique_anisotropic_grid(painted, oblique, radius_mm, direction):
    middle = oblique.index_to_lps((31.3, 32.4, 19.8))
    way = np.array(direction) / np.linalg.norm(direction)
    ends = middle - 20 * way, middle + 20 * way
    tree = vessel_tree(painted(oblique, (VESSEL.value, tubes((radius_mm, *ends)))))
    assert_is_a_forest(tree)
    [branch] = tree.branches
    assert branch.structure == VESSEL
    assert branch.radius_mm == pytest.approx(radius_mm, rel=0.05)
    within = np.abs((tree.points_mm - middle) @ way) < 18
    assert distance_to_line(tree.points_mm[within], *ends).mean() < 0.25
    # A round end lies a radius behind the line's; where a tree begins, the vessel counts as cut off.
    assert branch.length_mm == pytest.approx(40 + radius_mm, abs=2.5)


@pytest.mark.parametrize("slices_mm", [5.0, 7.5])
def test_thick_slices(painted, slices_mm):
    grid = Geometry((80, 80, int(80 / slices_mm)), (0.8, 0.8, slices_mm))
    ends = (10.0, 20.0, 12.0), (52.0, 44.0, 66.0)
    tree = vessel_tree(painted(grid, (VESSEL.value, tubes((4.0, *ends)))))
    [branch] = tree.branches
    assert branch.radius_mm == pytest.approx(4.0, rel=0.1)
    assert distance_to_line(tree.points_mm, *ends).mean() < 0.2 * slices_mm


def test_a_bend_is_followed(painted):
    turn = np.linspace(0, np.pi, 60)
    arc = np.stack([32 + 18 * np.cos(turn), 20 + 18 * np.sin(turn), np.full(60, 31.7)], axis=1)
    tree = vessel_tree(painted(GRID, (VESSEL.value, tubes((2.5, *arc)))))
    [branch] = tree.branches
    off = np.hypot(np.hypot(tree.points_mm[:, 0] - 32, tree.points_mm[:, 1] - 20) - 18, tree.points_mm[:, 2] - 31.7)
    assert off[2:-2].mean() < 0.2
    assert branch.radius_mm == pytest.approx(2.5, rel=0.05)


def test_a_fork_has_a_trunk_and_two_branches_of_the_next_generation(painted):
    fork = (32.0, 32.0, 30.0)
    shape = tubes(
        (4.0, (32, 32, 2), fork),
        (3.0, fork, (50, 32, 52)),
        (2.5, fork, (16, 36, 54)),
        (1.5, (46, 32, 47), (58, 44, 56)),
    )
    tree = vessel_tree(painted(GRID, (VESSEL.value, shape)))
    assert_is_a_forest(tree)
    assert [branch.generation for branch in tree.branches] == [0, 1, 2, 2, 1]
    assert [branch.parent for branch in tree.branches] == [-1, 0, 1, 1, 0]
    radii = [branch.radius_mm for branch in tree.branches]
    assert radii[0] == pytest.approx(4, rel=0.1) and radii[1] == pytest.approx(3, rel=0.1)
    assert sorted(radii[2:])[0] == pytest.approx(1.5, rel=0.1)
    root = tree.points_mm[tree.parent < 0]
    assert root[0] == pytest.approx([32, 32, -1], abs=1.5)  # the trunk's end, on the border
    assert len(tree.terminals) == 3


def test_vessels_that_cross_and_touch_come_apart(painted):
    one = (3.0, (4, 26, 32), (24, 28, 32)), (2.5, (24, 28, 32), (60, 34, 33)), (1.5, (24, 28, 32), (30, 8, 32))
    other = (3.2, (46, 60, 37), (46, 48, 36)), (2.4, (46, 48, 36), (48, 6, 36)), (1.5, (46, 48, 36), (20, 52, 36))
    separate = [vessel_tree(painted(GRID, (VESSEL.value, tubes(*vessels)))) for vessels in (one, other)]
    both = vessel_tree(painted(GRID, (VESSEL.value, tubes(*one, *other))))
    assert_is_a_forest(both)
    assert both.tree_count == 2
    roots = sorted(both.points_mm[both.parent < 0].tolist())
    expected = sorted(tree.points_mm[0].tolist() for tree in separate)
    assert np.allclose(roots, expected, atol=1.5)
    assert len(both.terminals) == sum(len(tree.terminals) for tree in separate)


def test_a_ring_is_cut_open(painted):
    def ring(points):
        x, y, z = np.moveaxis(points - 32.0, -1, 0)
        return (np.hypot(x, y) - 18) ** 2 + z**2 <= 3.0**2

    tree = vessel_tree(painted(GRID, (VESSEL.value, ring)))
    assert_is_a_forest(tree)
    total = sum(branch.length_mm for branch in tree.branches)
    assert 0.8 < total / (2 * np.pi * 18) < 1.05
    assert abs(np.linalg.norm(tree.points_mm[:, :2] - 32, axis=1) - 18).mean() < 0.5


def test_a_loop_is_cut_open_and_nothing_of_it_is_lost(painted):
    trunk, meeting = (32, 16, 32), (32, 48, 32)
    upper, lower = (2.5, trunk, (48, 30, 32), meeting), (1.5, trunk, (16, 30, 32), meeting)
    tree = vessel_tree(painted(GRID, (VESSEL.value, tubes((3.5, (32, 2, 32), trunk), upper, lower))))
    assert_is_a_forest(tree)
    assert tree.tree_count == 1
    around = 2 * (np.hypot(16, 14) + np.hypot(16, 18))
    assert sum(branch.length_mm for branch in tree.branches) == pytest.approx(14 + around, rel=0.1)


def test_structures_are_trees_of_their_own_even_where_they_touch(painted):
    labels = painted(
        GRID,
        (HEPATIC_VEIN.value, tubes((3.0, (5, 32, 32), (60, 32, 32)))),
        (PORTAL_VEIN.value, tubes((3.0, (32, 5, 36), (32, 60, 36)))),
    )
    tree = vessel_tree(labels)
    assert tree.branches[0].structure == PORTAL_VEIN  # in the table's order
    assert {branch.structure for branch in tree.branches} == {PORTAL_VEIN, HEPATIC_VEIN}
    portal = np.isin(tree.branch, [branch.number for branch in tree.branches if branch.structure == PORTAL_VEIN])
    assert distance_to_line(tree.points_mm[portal], (32, 0, 36), (32, 64, 36)).max() < 1.0


@pytest.mark.parametrize("length", [0, 1, 2])
def test_no_voxels_and_specks_have_no_tree(length):
    array = np.zeros((9, 9, 9), np.uint8)
    array[4, 4, 2 : 2 + length] = VESSEL.value
    assert vessel_tree(LabelVolume(array, Geometry((9, 9, 9)))).branches == ()


def test_a_ball_has_no_tree(painted):
    ball = tubes((7.0, (32, 32, 32), (32, 32, 33)))
    assert vessel_tree(painted(GRID, (VESSEL.value, ball))).branches == ()


def test_a_vessel_through_the_whole_volume_reaches_both_borders(painted):
    tree = vessel_tree(painted(GRID, (VESSEL.value, tubes((3.0, (-9, 30, 31), (90, 33, 32))))))
    [branch] = tree.branches
    assert branch.length_mm == pytest.approx(63, abs=4)
    assert branch.radius_mm == pytest.approx(3.0, rel=0.03)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    array=arrays(np.uint8, (7, 8, 9), elements=st.sampled_from([0, 0, 0, 3, 3, 5])),
    spacing=st.tuples(*[st.floats(0.4, 6.0)] * 3),
)
def test_whatever_the_labels_a_forest_comes_out(array, spacing):
    assert_is_a_forest(vessel_tree(LabelVolume(array, Geometry((9, 8, 7), spacing))))


def test_a_point_belongs_to_the_ball_of_least_power() -> None:
    random = np.random.default_rng(0)
    for _ in range(2000):  # of 1000 largest radii, one has another square as a scalar than in an array
        centers, radius, points = random.random((5, 3)) * 9, random.random(5) * 6, random.random((4, 3)) * 9
        power = ((points[:, None] - centers) ** 2).sum(axis=2) - radius**2
        np.testing.assert_array_equal(nearest_ball(centers, radius, points), power.argmin(axis=1))
