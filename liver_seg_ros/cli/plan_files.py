"""The files of a plan: `plan.json`, `plan.csv`, and the entries that a user may give."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.planning.limits import Limits, least_clearance
from liver_seg_ros.planning.trajectory_values import TrajectoryEvaluation

COLUMNS = (
    "rank", "entry_x_mm", "entry_y_mm", "entry_z_mm", "target_x_mm", "target_y_mm", "target_z_mm", "radius_mm",
    "length_mm", "length_in_liver_mm", "clearance_mm", "nearest", "vessels_crossed", "largest_crossed_radius_mm",
    "capsule_crossings", "entry_angle_deg",
)  # fmt: skip


def write_plan(path: Path, plan: Mapping[str, Any]) -> None:
    """Write plain values as JSON, completely or not at all."""
    with written_beside(path) as beside:
        beside.write_text(json.dumps(plan, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_trajectories(path: Path, evaluations: Sequence[TrajectoryEvaluation], limits: Limits) -> None:
    """Write one row per trajectory as CSV, best first, LPS mm; what there is not is left empty."""
    with written_beside(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for rank, evaluation in enumerate(evaluations, start=1):
            writer.writerow(_row(rank, evaluation, limits))


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


def read_entries(path: Path) -> NDArray[np.float64]:
    """`(N, 3)` LPS mm: entry points from a CSV of three columns x, y, z; a first line without a digit is a heading.

    Raises:
        InputError: no such file, a row that is not three finite numbers, or no row.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a CSV of entries x,y,z ({error})") from error
    points: list[tuple[float, float, float]] = []
    for number, row in enumerate(csv.reader(lines), start=1):
        try:
            x, y, z = (float(value) for value in row)
            if not np.isfinite([x, y, z]).all():
                raise ValueError
        except ValueError:
            if not row or (number == 1 and not any(character.isdigit() for character in "".join(row))):
                continue
            raise InputError(f"{path}, line {number}: '{','.join(row)}' is not three numbers x,y,z in mm") from None
        points.append((x, y, z))
    if not points:
        raise InputError(f"{path}: has no entries. Give lines of three numbers x,y,z, LPS in mm.")
    return np.array(points)
