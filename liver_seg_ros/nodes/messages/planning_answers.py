# SPDX-License-Identifier: Apache-2.0
"""Answers of planning as messages: in metres, cubic metres and radians, in the frame that was asked in."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from std_msgs.msg import Header

from liver_seg_interfaces.msg import StructureClearance
from liver_seg_interfaces.msg import Trajectory as TrajectoryMessage
from liver_seg_interfaces.msg import TrajectoryEvaluation as EvaluationMessage
from liver_seg_interfaces.msg import VesselCrossing as CrossingMessage
from liver_seg_interfaces.srv import AssessAblation, AssessResection
from liver_seg_ros.geometry import ML_PER_M3, MM_PER_M
from liver_seg_ros.labels import Structure
from liver_seg_ros.nodes.messages.points import mm_to_point
from liver_seg_ros.planning.ablation import AblationCheck
from liver_seg_ros.planning.resection import Resection
from liver_seg_ros.planning.trajectory_values import TrajectoryEvaluation

#: From a point in the CT's frame to one in the frame of the answer, mm.
Placed = Callable[[ArrayLike], NDArray[np.float64]]


def evaluation_to_message(
    found: TrajectoryEvaluation, header: Header, volume_uid: str, placed: Placed
) -> EvaluationMessage:
    """The evaluation of one trajectory."""
    needle = found.trajectory
    return EvaluationMessage(
        trajectory=TrajectoryMessage(
            header=header,
            volume_uid=volume_uid,
            entry=mm_to_point(placed(needle.entry_mm)),
            target=mm_to_point(placed(needle.target_mm)),
            radius_m=needle.radius_mm / MM_PER_M,
        ),
        length_m=found.length_mm / MM_PER_M,
        length_in_liver_m=found.length_in_liver_mm / MM_PER_M,
        clearances=[_clearance(c.structure, c.clearance_mm, placed(c.at_mm)) for c in found.clearances],
        vessel_crossings=[
            CrossingMessage(
                branch=crossing.branch,
                structure=crossing.structure.name,
                label=crossing.structure.value,
                radius_m=crossing.radius_mm / MM_PER_M,
                along_m=crossing.along_mm / MM_PER_M,
                at=mm_to_point(placed(crossing.at_mm)),
            )
            for crossing in found.vessel_crossings
        ],
        capsule_crossings=found.capsule_crossings,
        entry_angle_rad=math.nan if found.entry_angle_deg is None else math.radians(found.entry_angle_deg),
    )


def fill_ablation(response: AssessAblation.Response, check: AblationCheck, placed: Placed) -> None:
    """What an ablation covers and destroys."""
    response.zone_m3 = check.zone.volume_ml / ML_PER_M3
    response.healthy_liver_m3 = check.healthy_liver_ml / ML_PER_M3
    response.outside_liver_m3 = check.outside_liver_ml / ML_PER_M3
    response.others = [_clearance(o.structure, o.distance_mm, placed(o.at_mm)) for o in check.others]
    if check.tumor is not None:
        response.has_lesion = True
        response.lesion = check.tumor.lesion + 1
        response.covered = check.tumor.covered
        response.covered_with_margin = check.tumor.covered_with_margin
        response.smallest_margin_m = check.tumor.smallest_margin_mm / MM_PER_M
        response.uncertainty_m = check.tumor.uncertainty_mm / MM_PER_M
        response.smallest_at = mm_to_point(placed(check.tumor.smallest_at_mm))


def fill_resection(response: AssessResection.Response, found: Resection, placed: Placed) -> None:
    """What a resection takes and leaves."""
    response.liver_m3 = found.liver_ml / ML_PER_M3
    response.tumor_m3 = found.tumor_ml / ML_PER_M3
    response.resected_m3 = found.resected_ml / ML_PER_M3
    response.remnant_m3 = found.remnant_ml / ML_PER_M3
    response.tumor_left_m3 = found.tumor_left_ml / ML_PER_M3
    response.remnant_fraction = found.remnant_percent / 100
    response.cut = [
        CrossingMessage(
            branch=cut.branch,
            structure=cut.structure.name,
            label=cut.structure.value,
            radius_m=cut.radius_mm / MM_PER_M,
            at=mm_to_point(placed(cut.at_mm)),
        )
        for cut in found.cut
    ]


def _clearance(structure: Structure, clearance_mm: float, at_mm: ArrayLike) -> StructureClearance:
    return StructureClearance(
        structure=structure.name,
        label=structure.value,
        clearance_m=float(clearance_mm) / MM_PER_M,
        at=mm_to_point(at_mm),
    )
