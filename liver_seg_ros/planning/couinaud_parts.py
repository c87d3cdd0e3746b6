# SPDX-License-Identifier: Apache-2.0
"""Which of Couinaud's segments are told apart by the landmarks that are known, and which are one part."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from liver_seg_ros.labels import Structure
from liver_seg_ros.planning.couinaud_landmarks import CouinaudLandmarks
from liver_seg_ros.planning.couinaud_table import SEGMENTS, part_row

#: Upper and lower segments from right to left, between the half-planes.
UPPER, LOWER = (7, 8, 4, 2), (6, 5, 4, 3)


@dataclass(frozen=True)
class SegmentPart:
    """One part of the liver: a segment, or several that nothing parts.

    Attributes:
        value: of its voxels.
        segments: their numbers.
        volume_ml: of the organ's voxels in it, tumors and enclosed vessels included.
        tumor_ml: of the tumor's among them.
        lesions: which have a voxel in it, counted from 1, the largest first.
    """

    value: int
    segments: tuple[int, ...]
    volume_ml: float
    tumor_ml: float
    lesions: tuple[int, ...] = ()

    @property
    def row(self) -> Structure:
        """Name, color and code."""
        return part_row(self.value, self.segments)


def groups_of(landmarks: CouinaudLandmarks) -> dict[int, tuple[int, ...]]:
    """Of each value, the segments that have it: single ones by their number, others from 9."""
    leader = list(range(len(SEGMENTS) + 1))

    def join(*numbers: int) -> None:
        least = min(leader[number] for number in numbers)
        joined = {leader[number] for number in numbers}
        leader[:] = [least if old in joined else old for old in leader]

    if landmarks.cava_mm is None:
        join(*range(1, len(SEGMENTS) + 1))
    if landmarks.bifurcation_mm is None:  # segment 1 has no voxels then: it is in the others
        for upper, lower in zip(UPPER, LOWER, strict=True):
            join(upper, lower)
    for plane, sides in zip(planes(landmarks), (((7, 8), (6, 5)), ((8, 4), (5, 4)), ((4, 2), (4, 3))), strict=True):
        if plane is None:
            for one, other in sides:
                join(one, other)
    groups: dict[int, tuple[int, ...]] = {}
    for number in range(1, len(SEGMENTS) + 1):
        groups[leader[number]] = (*groups.get(leader[number], ()), number)
    singles = {least: group for least, group in groups.items() if len(group) == 1}
    several = [group for group in groups.values() if len(group) > 1]
    return singles | {len(SEGMENTS) + n: group for n, group in enumerate(several, start=1)}


def possible_names() -> tuple[str, ...]:
    """Names of all parts that there may be, whichever landmarks are missing."""
    sides: tuple[float | None, ...] = (0.0, None)
    names = {part_row(1, tuple(range(1, len(SEGMENTS) + 1))).name: None}
    for right, middle, left in product(sides, repeat=3):
        for bifurcation in ((0.0, 0.0, 0.0), None):
            known = CouinaudLandmarks((0.0, 0.0, 0.0), right, middle, left, bifurcation)
            names |= {part_row(value, group).name: None for value, group in groups_of(known).items()}
    return tuple(names)


def planes(landmarks: CouinaudLandmarks) -> tuple[float | None, float | None, float | None]:
    """Directions of the three half-planes from right to left."""
    return landmarks.right_deg, landmarks.middle_deg, landmarks.left_deg
