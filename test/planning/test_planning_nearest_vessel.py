# SPDX-License-Identifier: Apache-2.0
"""The nearest vessel is the nearest of all, whatever is left out on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros.planning.nearest_vessel import nearest_vessel
from liver_seg_ros.vessel_tree import EMPTY_TREE, VesselTree


def wall_distance(point, tree, node):
    """One point to one vessel, the plain way."""
    end = tree.points_mm[node]
    start = end if tree.parent[node] < 0 else tree.points_mm[tree.parent[node]]
    along = end - start
    place = np.clip((point - start) @ along / max(along @ along, 1e-30), 0, 1)
    return np.linalg.norm(point - start - place * along) - tree.radius_mm[node]


@given(seed=st.integers(0, 2**32 - 1), nodes=st.integers(1, 40), size_mm=st.floats(0, 300))
def test_it_is_the_one_that_a_search_through_all_finds(seed, nodes, size_mm):
    random = np.random.default_rng(seed)
    parent = np.array([random.integers(-1, max(n, 1)) if n else -1 for n in range(nodes)])
    tree = VesselTree(
        random.uniform(0, size_mm, (nodes, 3)) + 900, random.uniform(0.5, 9, nodes), parent, np.zeros(nodes, int), ()
    )
    points = random.uniform(-20, size_mm + 20, (60, 3)) + 900
    found = nearest_vessel(points, tree)
    true = np.array([[wall_distance(point, tree, node) for node in range(nodes)] for point in points])
    assert found.distance_mm == pytest.approx(true.min(axis=1), abs=1e-6)
    assert true[np.arange(60), found.node] == pytest.approx(true.min(axis=1), abs=1e-6)


def test_the_wall_counts_and_not_the_axis(fork):
    found = nearest_vessel([[40.0, 30, 30], [15, 33, 30]], fork)
    assert fork.branch[found.node].tolist() == [1, 0]  # midway between the two: the thicker one; inside the trunk
    assert found.distance_mm[1] == pytest.approx(-1.0)
    only = nearest_vessel([[40.0, 30, 30]], fork, branches=[2])
    assert fork.branch[only.node].tolist() == [2] and only.distance_mm[0] > found.distance_mm[0]


def test_no_vessel_and_no_points_have_an_answer(fork):
    nothing = nearest_vessel(np.zeros((2, 3)), EMPTY_TREE)
    assert np.isinf(nothing.distance_mm).all() and (nothing.node == -1).all()
    assert nearest_vessel(np.zeros((2, 3)), fork, branches=[]).node.tolist() == [-1, -1]
    assert nearest_vessel(np.zeros((0, 3)), fork).node.shape == (0,)


@pytest.mark.parametrize("points", [[[np.nan, 0, 0]], [0.0, 0, 0], np.zeros((2, 2))])
def test_points_that_are_none_are_refused(fork, points):
    with pytest.raises(ValueError, match=r"must be \(N, 3\) and finite"):
        nearest_vessel(points, fork)
