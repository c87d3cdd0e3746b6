# SPDX-License-Identifier: Apache-2.0
"""Octrees: read back by a reader of their own, cell by cell; cells against voxels one at a time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.reconstruction.octree import occupied_cells, octree_bytes
from liver_seg_ros.volume import LabelVolume


def read(data: bytes) -> tuple[set[tuple[int, ...]], int]:
    """The occupied cells of a binary tree, and how many leaves hold them; as OctoMap's readBinaryNode goes."""
    cells, leaves, at = set(), 0, 0

    def node(corner: tuple[int, ...], edge: int) -> None:
        nonlocal at, leaves
        children = [(data[at + n // 4] >> 2 * (n % 4)) & 3 for n in range(8)]
        at += 2
        half = edge // 2
        corners = [tuple(c + half * ((n >> axis) & 1) for axis, c in enumerate(corner)) for n in range(8)]
        for child, what in zip(corners, children, strict=True):
            if what == 2:
                leaves += 1
                cells.update(itertools.product(*(range(c - 32768, c - 32768 + half) for c in child)))
            assert what != 1  # nothing is known to be free
        for child, what in zip(corners, children, strict=True):
            if what == 3:
                node(child, half)

    node((0, 0, 0), 1 << 16)
    assert at == len(data)
    return cells, leaves


coordinates = st.integers(-9, 9)


@settings(max_examples=60)
@given(cells=st.sets(st.tuples(coordinates, coordinates, coordinates), max_size=60))
def test_a_tree_holds_its_cells_and_no_others(cells):
    keys = np.array(sorted(cells), np.int64).reshape(-1, 3)
    assert read(octree_bytes(keys))[0] == cells


def test_eight_children_become_one_leaf():
    block = np.array(list(itertools.product(range(-8, 8), range(0, 8), range(8, 16))), np.int64)
    cells, leaves = read(octree_bytes(block))
    assert cells == set(map(tuple, block.tolist())) and leaves == 2


def test_cells_too_far_away_are_refused():
    assert octree_bytes(np.array([[32767, 0, -32768]]))
    with pytest.raises(InputError, match="coarser resolution"):
        octree_bytes(np.array([[32768, 0, 0]]))


def test_cells_are_those_of_the_voxels_and_large_voxels_leave_no_gaps():
    geometry = Geometry((6, 5, 4), (2.0, 3.0, 9.0), (-5.0, 12.0, -40.0), ((0, -1, 0), (1, 0, 0), (0, 0, 1)))
    array = np.random.default_rng(3).integers(0, 4, geometry.shape).astype(np.uint8)
    found = occupied_cells(LabelVolume(array, geometry), np.array([1, 3], np.uint8), 0.004)
    expected = set()
    for k, j, i in np.argwhere((array == 1) | (array == 3)):
        for part in (-1 / 3, 0, 1 / 3):  # a slice is 9 mm thick, and a cell 4 mm
            x, y, z = geometry.index_to_ros([i, j, k + part]) / 0.004
            expected.add((int(np.floor(x)), int(np.floor(y)), int(np.floor(z))))
    assert set(map(tuple, found.tolist())) == expected
    column = np.zeros((4, 1, 1), np.uint8) + 2
    single = occupied_cells(LabelVolume(column, Geometry((1, 1, 4), (2, 2, 9))), np.array([2], np.uint8), 0.004)
    assert np.diff(single[:, 2]).tolist() == [1] * (len(single) - 1) and len(single) >= 8
