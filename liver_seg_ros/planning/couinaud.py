# SPDX-License-Identifier: Apache-2.0
"""Couinaud's segments of the liver, by planes through the hepatic veins and the portal bifurcation.

After C. Couinaud, Le foie: etudes anatomiques et chirurgicales (1957), in the form that radiologists read from slices
(H. Bismuth, Surgical anatomy and anatomical surgery of the liver, World J. Surg. 6 (1982) 3): vertical half-planes from
the vena cava along the right, middle and left hepatic vein part 6 and 7 from 5 and 8, these from 4, and 4 from 2 and 3;
the level of the portal bifurcation parts the upper segments 2, 7, 8 from the lower 3, 6, 5. Segment 1 is what lies
between the bifurcation and the vena cava, up to where the hepatic veins join it; its sides, which no vessel marks, are
`CAUDATE_RIGHT_MM` and `CAUDATE_LEFT_MM` from the cava's axis.

Where a landmark is not known, what lies on both sides of its boundary is one part of several segments: no boundary is
guessed. Anatomy varies: planes are what this says and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR
from liver_seg_ros.plain import plain
from liver_seg_ros.planning.couinaud_landmarks import CouinaudLandmarks, direction_deg
from liver_seg_ros.planning.couinaud_parts import LOWER, UPPER, SegmentPart, groups_of, planes
from liver_seg_ros.planning.couinaud_table import SEGMENTS
from liver_seg_ros.planning.resection import Resection, resection_of
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.reconstruction.measuring.structures import MOST_LESIONS
from liver_seg_ros.reconstruction.parts import lesions
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume

#: How far segment 1 reaches to both sides of the cava's axis, behind it, and below the bifurcation.
CAUDATE_RIGHT_MM, CAUDATE_LEFT_MM, CAUDATE_BEHIND_MM, CAUDATE_BELOW_MM = 12.0, 30.0, 25.0, 20.0

_CAUDATE = 1

#: Of Couinaud's segments.
NUMBERS = frozenset(range(1, 9))


@dataclass(frozen=True, eq=False)
class LiverSegments:
    """The liver divided.

    Attributes:
        array: `(K, J, I)` uint8 on the grid of the labels: 1 to 8, more for parts of several segments, 0 outside.
        geometry: the grid of `array`.
        parts: by value, those that have voxels. Every voxel of the organ lies in one.
        unknown: which boundaries are not known and why, in words.
        tumor_ml: in all of the organ.
    """

    array: NDArray[np.uint8]
    geometry: Geometry
    parts: tuple[SegmentPart, ...]
    unknown: tuple[str, ...]
    tumor_ml: float

    __repr__ = short_repr

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the voxels."""
        rows = [plain(part) | {"name": part.row.name, "snomed_code": part.row.snomed_code} for part in self.parts]
        return {"parts": rows, "unknown": list(self.unknown), "tumor_ml": self.tumor_ml}


def divide_into_segments(labels: LabelVolume, landmarks: CouinaudLandmarks) -> LiverSegments:
    """The liver of `labels` divided; without a liver there are no parts."""
    array = np.zeros(labels.geometry.shape, np.uint8)
    organ = structure_mask(labels, LIVER)
    if organ is None:
        return LiverSegments(array, labels.geometry, (), landmarks.unknown, 0.0)
    here, there = labels.geometry.shared_with(organ.geometry)
    inside = np.zeros(array.shape, bool)
    inside[here.slices] = organ.array[there.slices]
    voxels = np.argwhere(inside)
    segment = segments_at(labels.geometry.index_to_lps(voxels[:, ::-1]), landmarks)
    groups = groups_of(landmarks)
    value_of = np.zeros(len(SEGMENTS) + 1, np.uint8)
    for value, group in groups.items():
        value_of[list(group)] = value
    array[tuple(voxels.T)] = value_of[segment]

    tumor = inside & (labels.array == TUMOR.value)
    ml = labels.geometry.voxel_volume_ml
    volumes, tumors = (np.bincount(array[mask], minlength=256) * ml for mask in (inside, tumor))
    reached = _lesions_of_values(labels, array)
    parts = tuple(
        SegmentPart(value, group, float(volumes[value]), float(tumors[value]), tuple(reached.get(value, ())))
        for value, group in sorted(groups.items())
        if volumes[value] > 0
    )
    return LiverSegments(array, labels.geometry, parts, landmarks.unknown, float(tumors.sum()))


def segments_at(points_mm: NDArray[np.float64], landmarks: CouinaudLandmarks) -> NDArray[np.int64]:
    """`(N,)` segment 1 to 8 of points in LPS mm. A boundary that is not known does not part: `divide_into_segments`
    joins what lies on both sides of it."""
    bifurcation, cava = landmarks.bifurcation_mm, landmarks.cava_mm
    upper = points_mm[:, 2] > (bifurcation[2] if bifurcation is not None else -np.inf)
    sector = np.zeros(len(points_mm), np.int64)
    if cava is not None:
        degrees = direction_deg(points_mm, cava)
        known = -np.inf
        for plane in planes(landmarks):  # one that is not known falls together with the one before
            known = known if plane is None else plane
            sector += degrees > known
    segment = np.where(upper, np.array(UPPER)[sector], np.array(LOWER)[sector])
    if cava is not None and bifurcation is not None:
        segment[_in_caudate(points_mm, np.array(cava), np.array(bifurcation))] = _CAUDATE
    return segment


def check_segment_numbers(numbers: Sequence[int]) -> None:
    """Raise `InputError` where one is no segment's, whatever the liver."""
    if unknown := set(numbers) - NUMBERS:
        raise InputError(f"segment {min(unknown)} is not there: segments have the numbers 1 to 8")


def resect_segments(divided: LiverSegments, removed: Sequence[int]) -> Resection:
    """Taking out whole segments by number; vessels that this divides are not looked for.

    Raises:
        InputError: a segment that is not there, or one of a part that others share and that are not all taken.
    """
    check_segment_numbers(removed)
    wanted, taken = set(removed), []
    for part in divided.parts:
        if wanted.isdisjoint(part.segments):
            continue
        if not wanted >= {*part.segments}:
            apart = ", ".join(map(str, part.segments))
            why = "; ".join(divided.unknown)
            raise InputError(f"segments {apart} are not parted ({why}); take all of them or none")
        taken.append(part)
    if missing := wanted - {number for part in taken for number in part.segments}:
        raise InputError(f"segment {min(missing)} is not there: the labels hold no voxel of it")
    return resection_of(
        sum(part.volume_ml for part in divided.parts),
        divided.tumor_ml,
        sum(part.volume_ml for part in taken),
        divided.tumor_ml - sum(part.tumor_ml for part in taken),
        (),
    )


def _lesions_of_values(labels: LabelVolume, array: NDArray[np.uint8]) -> dict[int, list[int]]:
    """Which lesions, counted from 1, have voxels of each value of `array`."""
    found: dict[int, list[int]] = {}
    for number, lesion in enumerate(islice(lesions(labels), MOST_LESIONS), start=1):
        here, there = labels.geometry.shared_with(lesion.geometry)
        for value in np.unique(array[here.slices][lesion.array[there.slices]]).tolist():
            found.setdefault(value, []).append(number)
    return found


def _in_caudate(
    points_mm: NDArray[np.float64], cava: NDArray[np.float64], bifurcation: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Behind the bifurcation as seen from it towards the cava, beside the cava, below the hepatic veins."""
    backward = np.array([cava[0] - bifurcation[0], cava[1] - bifurcation[1], 0.0])
    depth_mm = float(np.linalg.norm(backward))
    backward /= max(depth_mm, 1e-9)
    leftward = np.array([-backward[1], backward[0], 0.0])
    leftward *= 1.0 if leftward[0] > 0 else -1.0
    behind, aside = (points_mm - bifurcation) @ backward, (points_mm - cava) @ leftward
    found = (behind > 0) & (behind < depth_mm + CAUDATE_BEHIND_MM)
    found &= (aside > -CAUDATE_RIGHT_MM) & (aside < CAUDATE_LEFT_MM)
    return np.asarray(
        found & (points_mm[:, 2] < cava[2]) & (points_mm[:, 2] > bifurcation[2] - CAUDATE_BELOW_MM), np.bool_
    )
