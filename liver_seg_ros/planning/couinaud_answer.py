# SPDX-License-Identifier: Apache-2.0
"""Which of Couinaud's segments a liver has and what is left without some: the use case behind command line and node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from liver_seg_ros.labels import HEPATIC_VEIN, PORTAL_VEIN
from liver_seg_ros.planning.couinaud import LiverSegments, check_segment_numbers, divide_into_segments, resect_segments
from liver_seg_ros.planning.couinaud_landmarks import CouinaudLandmarks, find_landmarks
from liver_seg_ros.planning.resection import Resection
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume


@dataclass(frozen=True, eq=False)
class SegmentsAnswer:
    """The liver divided.

    Attributes:
        landmarks: by which it was.
        divided: the parts.
        resection: what is left without the segments that were to be taken; None where nothing is parted.
        has_vein_names: whether any vein is known to be portal or hepatic.
    """

    landmarks: CouinaudLandmarks
    divided: LiverSegments
    resection: Resection | None
    has_vein_names: bool

    __repr__ = short_repr

    @property
    def message(self) -> str:
        """Why nothing was parted; empty where something was."""
        if len(self.divided.parts) > 1:
            return ""
        return "; ".join(self.divided.unknown) if self.divided.parts else "there is no liver"


def divide_liver(
    labels: LabelVolume, tree: VesselTree, surroundings: LabelVolume | None = None, removed: Sequence[int] = ()
) -> SegmentsAnswer:
    """The segments of `labels`, and what is left without those of the numbers `removed`.

    Args:
        labels: the patient; portal and hepatic veins by name.
        tree: its vessels.
        surroundings: a map with the vena cava, where the labels have none.
        removed: 1 to 8.

    Raises:
        InputError: a segment to remove that is not there, or one that others are not parted from.
    """
    check_segment_numbers(removed)
    landmarks = find_landmarks(labels, tree, surroundings)
    divided = divide_into_segments(labels, landmarks)
    named = any(branch.structure in (PORTAL_VEIN, HEPATIC_VEIN) for branch in tree.branches)
    left = resect_segments(divided, removed) if len(divided.parts) > 1 else None
    return SegmentsAnswer(landmarks, divided, left, named)
