# SPDX-License-Identifier: Apache-2.0
"""Trajectories as rows of plain values, for a table of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from liver_seg_ros.planning.limits import Limits, least_clearance
from liver_seg_ros.planning.trajectory_values import TrajectoryEvaluation

#: Heads of the rows; coordinates are LPS.
COLUMNS = (
    "rank", "entry_x_mm", "entry_y_mm", "entry_z_mm", "target_x_mm", "target_y_mm", "target_z_mm", "radius_mm",
    "length_mm", "length_in_liver_mm", "clearance_mm", "nearest", "vessels_crossed", "largest_crossed_radius_mm",
    "capsule_crossings", "entry_angle_deg",
)  # fmt: skip


def trajectory_rows(evaluations: Sequence[TrajectoryEvaluation], limits: Limits) -> list[list[Any]]:
    """One row per trajectory under `COLUMNS`, best first; None where there is nothing to say."""
    return [_row(rank, evaluation, limits) for rank, evaluation in enumerate(evaluations, start=1)]


def _row(rank: int, evaluation: TrajectoryEvaluation, limits: Limits) -> list[Any]:
    least = least_clearance(evaluation, limits)
    crossed = [crossing.radius_mm for crossing in evaluation.vessel_crossings]
    needle = evaluation.trajectory
    values = [
        rank, *needle.entry_mm, *needle.target_mm, needle.radius_mm, evaluation.length_mm,
        evaluation.length_in_liver_mm, least and least.clearance_mm, least and least.structure.name, len(crossed),
        max(crossed, default=None), evaluation.capsule_crossings, evaluation.entry_angle_deg,
    ]  # fmt: skip
    return [round(value, 3) if isinstance(value, float) else value for value in values]
