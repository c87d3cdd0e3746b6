# SPDX-License-Identifier: Apache-2.0
"""Trees from a network of vessels that touch: where each tree begins, and which vessels belong to it.

Trees begin at wide free ends or, where the trunk has none, in the widest joint. From there all vessels are reached,
each from the side against which least speaks (`Network.ways`) and, among equals, with the least resistance to the flow.
Vessels that are reached only against much belong to another tree, and the widest of them is its trunk: so the portal
vein and the hepatic veins come apart where they touch. Loops are open at the end from which they are not reached.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Vector
from liver_seg_ros.reconstruction.vessels.centerlines import Paths
from liver_seg_ros.reconstruction.vessels.joints import AS_WIDE, End, Network

#: Vessels against which more speaks belong to another tree, if the widest is this wide against the widest of all that
#: they are connected with, and if they are so many.
OWN_TREE = 0.3
TRUNK_WIDTH = 0.35
TRUNK_SEGMENTS = 3

#: A free end so wide, against the widest vessel, is a trunk's.
WIDE_END = 0.65

#: Rounds of looking for further trees.
ROUNDS = 8


@dataclass(frozen=True)
class _Reached:
    """How a segment is reached: from which end, what spoke against it in all, and from which end of the one before."""

    entry: int
    cost: float
    before: End | None


def grow_trees(
    paths: Paths,
    mask: NDArray[np.bool_],
    spacing_mm: Vector,
    own_tree: float = OWN_TREE,
    trunk_width: float = TRUNK_WIDTH,
) -> Paths:
    """`paths` as trees that begin at their trunks, whose lines reach to where `mask` ends.

    With a lower `own_tree` and `trunk_width` than `OWN_TREE` and `TRUNK_WIDTH` there are more and purer trees.

    The nodes keep their numbers, but a parent may come after its children. Nodes of no tree have neither parent nor
    children: those between vessels that touch, and of parts that are no longer than wide.
    """
    if len(paths.parent) == 0:
        return paths
    network = Network.of(paths)
    parts = _connected(network, set(range(len(network.segments))))
    width = {number: width for part, width in ((part, _width(network, part)) for part in parts) for number in part}
    roots = [_root(network, part) for part in parts]
    reached = _reach(network, roots)
    for _ in range(ROUNDS):
        strange = _connected(network, {number for number, way in reached.items() if way.cost > own_tree})
        strange = [part for part in strange if len(part) >= TRUNK_SEGMENTS]
        strange = [part for part in strange if _width(network, part) > trunk_width * width[min(part)]]
        if not strange:
            break
        roots += [_root(network, part) for part in strange]
        reached = _reach(network, roots)
    parent, starts = _parents(network, reached, paths)
    points = _moved_to_the_cut(paths, parent, starts, mask, spacing_mm)
    parent = _without_specks(points, paths.radius_mm, parent)
    return Paths(points, paths.radius_mm, parent, np.empty((0, 2), np.int64))


def _width(network: Network, part: set[int]) -> float:
    return max(network.segments[number].radius_mm for number in part)


def _connected(network: Network, allowed: set[int]) -> list[set[int]]:
    """The allowed segments, those together that are connected through allowed ones."""
    parts, left = [], set(allowed)
    while left:
        part, waiting = set(), [left.pop()]
        while waiting:
            number = waiting.pop()
            part.add(number)
            for joint in network.segments[number].joints:
                beside = {other for other, _ in network.at_joint[joint]} & left
                left -= beside
                waiting += beside
        parts.append(part)
    return parts


def _root(network: Network, part: set[int]) -> list[End]:
    """Where the tree of connected segments begins: at its widest free end or, where none is wide, in the widest joint.

    Given as the ends from which blood goes on: one, or all that meet in the joint.
    """
    widest = max(part, key=lambda number: network.segments[number].radius_mm)
    free = [
        (number, side)
        for number in sorted(part)
        for side in (0, 1)
        if len(network.at_joint[network.segments[number].joints[side]]) == 1
    ]
    end = max(free, key=lambda end: network.segments[end[0]].radius_mm, default=None)
    if end is not None and network.segments[end[0]].radius_mm > WIDE_END * network.segments[widest].radius_mm:
        return [end]
    first, last = network.segments[widest].arms
    joint = network.segments[widest].joints[int(last.radius_mm > first.radius_mm)]
    return [end for end in network.at_joint[joint] if end[0] in part]


def _reach(network: Network, roots: list[list[End]]) -> dict[int, _Reached]:
    """Every segment that can be reached from the roots, in the order in which they are reached."""
    reached: dict[int, _Reached] = {}
    # What speaks against it, resistance, the narrowest radius on the way; segment, from which end; the end before.
    waiting: list[tuple[float, float, float, int, int, End | None]] = [
        (0.0, 0.0, np.inf, number, side, None) for root in roots for number, side in root
    ]
    heapq.heapify(waiting)
    while waiting:
        cost, resistance, narrowest_mm, number, entry, before = heapq.heappop(waiting)
        if number in reached:
            continue
        reached[number] = _Reached(entry, cost, before)
        left = number, 1 - entry
        narrowest_mm = min(narrowest_mm, network.arm(left).radius_mm)
        for end, against in network.ways(left, narrowest_mm):
            if end[0] in reached:
                continue
            width_mm = network.arm(end).radius_mm
            # What was counted as widening is not counted again further on.
            narrow_mm = max(min(narrowest_mm, width_mm), width_mm / AS_WIDE)
            further = resistance + network.segments[end[0]].resistance
            heapq.heappush(waiting, (cost + against, further, narrow_mm, *end, left))
    return reached


def _nodes_from(network: Network, end: End) -> NDArray[np.int64]:
    nodes = network.segments[end[0]].nodes
    return nodes if end[1] == 0 else nodes[::-1]


def _parents(
    network: Network, reached: dict[int, _Reached], paths: Paths
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`(N,)` parents along the segments, in the order in which they are reached, and the free ends that are roots.

    In a joint that several vessels reach, each keeps to the nodes that it reaches first; what goes on from it is joined
    to it straight where others are in between.
    """
    beside: dict[int, list[int]] = {}
    for one, other in network.inner:
        beside.setdefault(one, []).append(other)
        beside.setdefault(other, []).append(one)
    parent = np.full(len(paths.parent), -1)
    owner = np.full(len(parent), -1)  # the segment that reached a node; of a node in a joint, the one that came there
    last: dict[int, int] = {}  # of each segment, the node in which it ends
    root_of_joint: dict[int, int] = {}  # the first segment that begins in it
    starts = []
    for number, way in reached.items():
        nodes = _nodes_from(network, (number, way.entry)).tolist()
        here, joint = nodes[0], network.segments[number].joints[way.entry]
        if way.before is not None:
            here = _lead(last[way.before[0]], here, way.before[0], beside, parent, owner)
        elif joint in root_of_joint:
            first = root_of_joint[joint]
            begin = int(_nodes_from(network, (first, reached[first].entry))[0])
            here = _lead(begin, here, first, beside, parent, owner)
        else:
            root_of_joint[joint] = owner[here] = number
            starts += [here] if len(network.at_joint[joint]) == 1 else []
        for node in nodes[1:]:
            if owner[node] >= 0:  # of another: here a loop is open
                break
            parent[node], owner[node] = here, number
            here = node
        last[number] = here
    return parent, np.array(starts, np.int64)


def _lead(
    start: int,
    goal: int,
    number: int,
    beside: dict[int, list[int]],
    parent: NDArray[np.int64],
    owner: NDArray[np.int64],
) -> int:
    """Go on from `start` to `goal` inside a joint, over free nodes and those of segment `number`.

    Returns `goal`, or `start` where there is no such way.
    """
    before = {start: start}
    waiting = [start]
    for node in waiting:  # grows while it is walked
        for other in beside.get(node, ()):
            if other not in before and owner[other] in (-1, number):
                before[other] = node
                waiting.append(other)
    if goal not in before:
        return start
    node = goal
    while node != start:
        if owner[node] < 0:
            parent[node], owner[node] = before[node], number
        node = before[node]
    return goal


def _moved_to_the_cut(
    paths: Paths,
    parent: NDArray[np.int64],
    roots: NDArray[np.int64],
    mask: NDArray[np.bool_],
    spacing_mm: Vector,
) -> NDArray[np.float64]:
    """`(N, 3)` nodes with each root moved straight on to the end of the mask: its vessel goes on where that was cut."""
    points, radius = paths.points_mm, paths.radius_mm
    child = np.full(len(points), -1)
    downward = np.flatnonzero(parent >= 0)
    child[parent[downward]] = downward
    roots = np.setdiff1d(roots[child[roots] >= 0], paths.contacts)  # where a ring is open, nothing was cut off
    if roots.size == 0:
        return points
    ahead = child[roots]
    ahead = np.where(child[ahead] >= 0, child[ahead], ahead)
    backward = points[roots] - points[ahead]
    backward /= np.linalg.norm(backward, axis=1, keepdims=True).clip(min=1e-9)
    step_mm = min(spacing_mm) / 4
    count = int(np.ceil(2 * radius[roots].max() / step_mm))
    further = points[roots, None] + backward[:, None] * (step_mm * np.arange(count))[:, None]  # (R, S, 3)
    i, j, k = np.moveaxis(np.rint(further / spacing_mm).astype(np.intp), -1, 0)
    inside = (np.minimum(np.minimum(i, j), k) >= 0) & (k < mask.shape[0]) & (j < mask.shape[1]) & (i < mask.shape[2])
    inside[inside] = mask[k[inside], j[inside], i[inside]]
    last = np.logical_and.accumulate(inside, axis=1).sum(axis=1) - 1
    moved = points.copy()
    moved[roots] = further[np.arange(len(roots)), last.clip(min=0)]
    return moved


def _without_specks(
    points: NDArray[np.float64], radius: NDArray[np.float64], parent: NDArray[np.int64]
) -> NDArray[np.int64]:
    """`(N,)` parents without those of trees that are no longer than wide."""
    root = np.where(parent < 0, np.arange(len(parent)), parent)
    while not np.array_equal(root, further := root[root]):
        root = further
    steps = np.flatnonzero(parent >= 0)
    length = np.bincount(root[steps], np.linalg.norm(points[steps] - points[parent[steps]], axis=1), len(parent))
    widest = np.zeros(len(parent))
    np.maximum.at(widest, root, radius)
    return np.where((length > 2 * widest)[root], parent, -1)
