# SPDX-License-Identifier: Apache-2.0
"""What a needle may and may not: the limits that `rank_trajectories` keeps to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import (
    AORTA,
    BONE,
    COLON,
    DUODENUM,
    GALLBLADDER,
    HEART,
    KIDNEY,
    LIVER_VESSELS,
    LUNG,
    PANCREAS,
    SMALL_BOWEL,
    SPLEEN,
    STOMACH,
    VENA_CAVA,
    Structure,
)
from liver_seg_ros.plain import plain_fields
from liver_seg_ros.planning.air_by_hu import GAS
from liver_seg_ros.planning.trajectory_values import NEEDLE_RADIUS_MM, Clearance, TrajectoryEvaluation
from liver_seg_ros.short_repr import short_repr

#: Least clearance in mm to each structure, where it is labelled or found by HU. Starting values for a clinician to
#: change, not taken from a guideline: bones stop a needle, what holds gas, bile or moves is kept further away, vessels
#: are not touched.
LEAST_CLEARANCE_MM: dict[Structure, float] = {
    **dict.fromkeys(LIVER_VESSELS, 0.0),
    **dict.fromkeys((BONE,), 1.0),
    **dict.fromkeys((VENA_CAVA, AORTA, GALLBLADDER, PANCREAS, KIDNEY, SPLEEN, LUNG), 3.0),
    **dict.fromkeys((STOMACH, DUODENUM, COLON, SMALL_BOWEL, HEART, GAS), 5.0),
}


#: What is in the way and not in danger: a needle keeps to its limit, and is no better for passing further away from it.
NOT_WEIGHED = (BONE,)


@dataclass(frozen=True)
class Limits:
    """A needle and where it may go.

    Attributes:
        needle_radius_mm: of the needle.
        max_length_mm: from entry to target.
        max_entry_angle_deg: between the needle and the inward normal of the liver's capsule; a needle that meets the
            capsule at a grazing angle slips along it.
        least_clearance_mm: per structure; one that is not in it is no obstacle, one that is neither labelled nor
            found by HU is none either. Only these structures, but for
            those of `NOT_WEIGHED`, count for the clearance that trajectories are ranked by.

    Raises:
        InputError: a radius or angle out of range, or a length that is not positive.
    """

    needle_radius_mm: float = NEEDLE_RADIUS_MM
    max_length_mm: float = 150.0
    max_entry_angle_deg: float = 70.0
    least_clearance_mm: Mapping[Structure, float] = field(default_factory=lambda: dict(LEAST_CLEARANCE_MM))

    __repr__ = short_repr
    to_dict = plain_fields

    def __post_init__(self) -> None:
        if not 0 <= self.needle_radius_mm < float("inf"):
            raise InputError(f"a needle's radius of {self.needle_radius_mm} mm; give a length of zero or more")
        if not self.max_length_mm > 0:
            raise InputError(f"a longest needle of {self.max_length_mm} mm; give a positive length")
        if not 0 < self.max_entry_angle_deg <= 180:
            raise InputError(f"a largest angle of {self.max_entry_angle_deg} degrees; give more than 0, at most 180")


def least_clearance(evaluation: TrajectoryEvaluation, limits: Limits) -> Clearance | None:
    """The smallest clearance to a structure of the limits; None where none of them is known.

    One to what is not weighed (`NOT_WEIGHED`) counts only where it is below its limit.
    """
    least_mm = limits.least_clearance_mm
    counted = [
        clearance
        for clearance in evaluation.clearances
        if clearance.structure in least_mm
        and (clearance.structure not in NOT_WEIGHED or clearance.clearance_mm < least_mm[clearance.structure])
    ]
    return min(counted, key=lambda clearance: clearance.clearance_mm, default=None)
