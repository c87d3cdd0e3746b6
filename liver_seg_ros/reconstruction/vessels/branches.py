# SPDX-License-Identifier: Apache-2.0
"""From centerlines node by node to a `VesselTree`: which nodes make up a branch, what it comes from, how long it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.labels import Structure
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import EMPTY_TREE, Branch, VesselTree


@dataclass(frozen=True, eq=False)
class Forest:
    """The centerlines of one structure.

    Attributes:
        structure: the row of the label table.
        points_mm: `(N, 3)` LPS.
        radius_mm: `(N,)`.
        parent: `(N,)` node toward the root, -1 of a root; in any order, without cycles.
    """

    structure: Structure
    points_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    parent: NDArray[np.int64]

    __repr__ = short_repr


def build_tree(forests: Iterable[Forest]) -> VesselTree:
    """All forests as one `VesselTree`: structures in the order given, of each the tree of most vessel first.

    A root from which several vessels go out is given a first branch of one step, to the node after it on the longest,
    so that every tree has one trunk. A root without any vessel is left out.
    """
    arrays: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]] = []
    branches: list[Branch] = []
    count = 0
    for forest in forests:
        order, parent, number = _ordered(forest)
        if len(order) == 0:
            continue
        at_mm, radius_mm = forest.points_mm[order], forest.radius_mm[order]
        arrays.append((at_mm, radius_mm, np.where(parent < 0, -1, parent + count), number + len(branches)))
        branches += _branches(forest.structure, at_mm, radius_mm, parent, number, branches)
        count += len(order)
    if not arrays:
        return EMPTY_TREE
    points_mm, radii_mm, parents, branch_of = (np.concatenate(column) for column in zip(*arrays, strict=True))
    return VesselTree(points_mm, radii_mm, parents, branch_of, tuple(branches))


def _ordered(forest: Forest) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Nodes of a forest as `VesselTree` orders them: `(M,)` old numbers, new parents, and branches counted from 0."""
    children: list[list[int]] = [[] for _ in forest.parent]
    for node, before in enumerate(forest.parent.tolist()):
        if before >= 0:
            children[before].append(node)
    below_mm = _length_below(forest, children)

    order: list[int] = []
    parents: list[int] = []
    numbers: list[int] = []
    branch_count = 0
    roots = [node for node in np.flatnonzero(forest.parent < 0).tolist() if children[node]]
    for root in sorted(roots, key=lambda node: -below_mm[node]):
        first, *others = sorted(children[root], key=lambda node: -below_mm[node])
        children[first] += others
        order.append(root)
        parents.append(-1)
        numbers.append(branch_count)
        waiting = [(first, len(order) - 1)]  # first nodes of branches, and the new number of the node before
        while waiting:
            node, before = waiting.pop()
            while True:
                order.append(node)
                parents.append(before)
                numbers.append(branch_count)
                before = len(order) - 1
                if len(children[node]) != 1:
                    break
                [node] = children[node]
            branch_count += 1
            waiting += [(child, before) for child in sorted(children[node], key=lambda child: below_mm[child])]
    return np.array(order, np.int64), np.array(parents, np.int64), np.array(numbers, np.int64)


def _length_below(forest: Forest, children: list[list[int]]) -> list[float]:
    """Of each node, the length of all vessels that come from it and of the one that leads to it."""
    before = np.where(forest.parent < 0, np.arange(len(forest.parent)), forest.parent)
    below = np.linalg.norm(forest.points_mm - forest.points_mm[before], axis=1).tolist()
    downward = np.flatnonzero(forest.parent < 0).tolist()
    for node in downward:  # grows while it is walked: parents before children
        downward += children[node]
    for node in reversed(downward):
        if forest.parent[node] >= 0:
            below[forest.parent[node]] += below[node]
    return below


def _branches(
    structure: Structure,
    points_mm: NDArray[np.float64],
    radius_mm: NDArray[np.float64],
    parent: NDArray[np.int64],
    number: NDArray[np.int64],
    earlier: list[Branch],
) -> list[Branch]:
    """The branches of one structure, numbered on from `earlier`."""
    steps = np.flatnonzero(parent >= 0)
    length = np.linalg.norm(points_mm[steps] - points_mm[parent[steps]], axis=1)
    total = np.bincount(number[steps], length)
    # A branch that has no length has a mean all the same.
    weight = np.where(total[number[steps]] > 0, length, 1.0)
    mean = np.bincount(number[steps], weight * radius_mm[steps]) / np.bincount(number[steps], weight)
    offset, tree = len(earlier), earlier[-1].tree if earlier else -1
    first_step = steps[np.unique(number[steps], return_index=True)[1]]
    made: list[Branch] = []
    for own, step in enumerate(first_step.tolist()):
        before = int(parent[step])
        begins_tree = parent[before] < 0
        tree += begins_tree
        came_from = -1 if begins_tree else int(number[before])
        made.append(
            Branch(
                number=offset + own,
                parent=-1 if came_from < 0 else offset + came_from,
                tree=int(tree),
                generation=0 if came_from < 0 else made[came_from].generation + 1,
                structure=structure,
                length_mm=float(total[own]),
                radius_mm=float(mean[own]),
            )
        )
    return made
