# SPDX-License-Identifier: Apache-2.0
"""Centerlines as segments between joints, and what speaks against blood going from one segment into another.

A joint is a fork, or several that lie within each other's vessels: where two vessels touch, the line between their
middles is part of the joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.reconstruction.vessels.centerlines import Paths

#: A vessel this much wider than the one before it counts as no wider: radii are not exact.
AS_WIDE = 1.15

#: What it costs to go into a vessel e times as wide, to fill vessels that together are e times as wide, and to turn off
#: into a vessel that crosses.
WIDENING = 2.0
FILLING = 4.0
CROSSING = 0.6

#: Two ends look like one vessel where it bends by less than the angle of this cosine and widths differ by less.
STRAIGHT = 0.8
SIMILAR = 1.4

End = tuple[int, int]  # a segment, and 0 for its first end or 1 for its last


@dataclass(frozen=True, eq=False)
class Arm:
    """An end of a segment, seen from its joint.

    Attributes:
        direction: `(3,)` unit vector away from the joint, outside of the vessels that meet there.
        radius_mm: of the vessel near the joint, outside of the others.
    """

    direction: NDArray[np.float64]
    radius_mm: float


@dataclass(frozen=True, eq=False)
class Segment:
    """A vessel between two joints or ends.

    Attributes:
        nodes: of `Paths`, from its first end to its last.
        joints: number of the joint at its first and at its last end.
        arms: its first and its last end.
        length_mm, radius_mm: of all of it; the radius is the median.
        resistance: to the flow through it, by Poiseuille's law up to a constant.
    """

    nodes: NDArray[np.int64]
    joints: tuple[int, int]
    arms: tuple[Arm, Arm]
    length_mm: float
    radius_mm: float
    resistance: float


@dataclass(frozen=True, eq=False)
class Network:
    """All segments, and what meets where.

    Attributes:
        segments: all but those inside joints.
        at_joint: of each joint, the ends that meet there as pairs (segment, 0 for its first end or 1 for its last).
        inner: pairs of nodes that are joined inside joints.
    """

    segments: list[Segment]
    at_joint: list[list[End]]
    inner: list[tuple[int, int]]

    @staticmethod
    def of(paths: Paths) -> Network:
        """The network of the paths and their contacts, without those that leave a ring no end."""
        chains = _chains(_neighbors(paths, paths.contacts))
        covered = np.zeros(len(paths.parent), bool)
        for chain in chains:
            covered[chain] = True
        if not covered.all():  # a ring
            chains = _chains(_neighbors(paths, paths.contacts[covered[paths.contacts[:, 0]]]))
        joint_of, inner_chains = _joints(chains, paths)
        segments: list[Segment] = []
        at_joint: list[list[End]] = [[] for _ in range(max(joint_of.values()) + 1)]
        for chain in chains:
            joints = joint_of[chain[0]], joint_of[chain[-1]]
            if chain in inner_chains:
                continue
            for side in (0, 1):
                at_joint[joints[side]].append((len(segments), side))
            segments.append(_segment(chain, joints, paths))
        inner = [pair for chain in inner_chains for pair in pairwise(chain)]
        return Network(segments, at_joint, inner)

    def ways(self, before: End, narrowest_mm: float) -> list[tuple[End, float]]:
        """The ends into which blood may go on that comes through the end `before`, and what speaks against each.

        Nothing does in an ordinary fork, where by Murray's law the cubes of the radii add up to that of the vessel
        before. What does is that the vessel is wider than the narrowest that the blood came through, that it and those
        which lie straighter on are wider together, or that it goes straight on in another one as wide.
        """
        segment, arm = self.segments[before[0]], self.arm(before)
        ends = [end for end in self.at_joint[segment.joints[before[1]]] if end[0] != before[0]]
        ends.sort(key=lambda end: float(arm.direction @ self.arm(end).direction))
        found, filled = [], 0.0
        for end in ends:
            width_mm = self.arm(end).radius_mm
            filled += width_mm**3
            cost = WIDENING * _excess(width_mm, narrowest_mm)
            cost += FILLING * _excess(float(np.cbrt(filled)), max(arm.radius_mm, width_mm))
            may_cross = len(ends) > 2 or arm.radius_mm < AS_WIDE * width_mm
            if may_cross and not self._is_straight(before, end):
                cost += CROSSING * any(self._goes_on(other, end) for other in ends if other != end)
            found.append((end, cost))
        return found

    def _goes_on(self, before: End, after: End) -> bool:
        """Whether two ends that meet look like one vessel."""
        ratio = self.arm(before).radius_mm / self.arm(after).radius_mm
        return self._is_straight(before, after) and 1 / SIMILAR < ratio < SIMILAR

    def _is_straight(self, before: End, after: End) -> bool:
        return -float(self.arm(before).direction @ self.arm(after).direction) > STRAIGHT

    def arm(self, end: End) -> Arm:
        """An end of a segment."""
        return self.segments[end[0]].arms[end[1]]


def _excess(width_mm: float, before_mm: float) -> float:
    """By how many e-folds one vessel is wider than another."""
    return max(0.0, float(np.log(width_mm / (AS_WIDE * before_mm))))


def _neighbors(paths: Paths, contacts: NDArray[np.int64]) -> list[set[int]]:
    neighbors: list[set[int]] = [set() for _ in paths.parent]
    steps = np.flatnonzero(paths.parent >= 0)
    for one, other in [*zip(steps.tolist(), paths.parent[steps].tolist(), strict=True), *contacts.tolist()]:
        neighbors[one].add(other)
        neighbors[other].add(one)
    return neighbors


def _chains(neighbors: list[set[int]]) -> list[list[int]]:
    """Nodes from each fork or end to the next, each chain once."""
    chains = []
    for start, beside in enumerate(neighbors):
        if len(beside) == 2:
            continue
        for first in beside:
            chain = [start, first]
            while len(neighbors[chain[-1]]) == 2:
                [ahead] = neighbors[chain[-1]] - {chain[-2]}
                chain.append(ahead)
            if (chain[0], chain[1]) <= (chain[-1], chain[-2]):
                chains.append(chain)
    return chains


def _joints(chains: list[list[int]], paths: Paths) -> tuple[dict[int, int], list[list[int]]]:
    """The joint of each fork and end, and the chains inside joints: those within the vessels of the forks they join."""
    ends = sorted({end for chain in chains for end in (chain[0], chain[-1])})
    count = dict.fromkeys(ends, 0)
    for chain in chains:
        for end in (chain[0], chain[-1]):
            count[end] += 1
    group = {end: end for end in ends}

    def leader(end: int) -> int:
        while group[end] != end:
            end = group[end]
        return end

    inner = []
    for chain in chains:
        first, last = chain[0], chain[-1]
        if min(count[first], count[last]) < 2:
            continue
        if _length(chain, paths) <= paths.radius_mm[first] + paths.radius_mm[last]:
            inner.append(chain)
            group[leader(first)] = leader(last)
    number = {end: place for place, end in enumerate(end for end in ends if group[end] == end)}
    return {end: number[leader(end)] for end in ends}, inner


def _length(nodes: list[int] | NDArray[np.int64], paths: Paths) -> float:
    return float(np.linalg.norm(np.diff(paths.points_mm[nodes], axis=0), axis=1).sum())


def _segment(chain: list[int], joints: tuple[int, int], paths: Paths) -> Segment:
    nodes = np.array(chain)
    points, radius = paths.points_mm[nodes], paths.radius_mm[nodes]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    resistance = float((steps / np.minimum(radius[1:], radius[:-1]) ** 4).sum())
    arms = _arm(points, radius), _arm(points[::-1], radius[::-1])
    return Segment(nodes, joints, arms, float(steps.sum()), float(np.median(radius)), resistance)


def _arm(points: NDArray[np.float64], radius: NDArray[np.float64]) -> Arm:
    """The arm that begins at the first of these points."""
    outside = np.flatnonzero(np.linalg.norm(points - points[0], axis=1) > radius[0])
    start = min(int(outside[0]), len(points) - 2) if outside.size else len(points) - 2
    reach = np.linalg.norm(points - points[start], axis=1) > 3 * radius[start]
    reach[: start + 1] = False
    stop = int(np.argmax(reach)) if reach.any() else len(points) - 1
    vector = points[stop] - points[start]
    return Arm(vector / max(float(np.linalg.norm(vector)), 1e-9), float(np.median(radius[start : stop + 1])))
