# SPDX-License-Identifier: Apache-2.0
"""Answers of planning as tables for a terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import floor

from liver_seg_ros.cli.resection_table import resection_table
from liver_seg_ros.planning.ablation import AblationCheck
from liver_seg_ros.planning.feeding import LesionFeeding
from liver_seg_ros.planning.limits import Limits, least_clearance
from liver_seg_ros.planning.questions import Answers
from liver_seg_ros.planning.ranking import Ranking
from liver_seg_ros.planning.trajectory_values import TrajectoryEvaluation
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.report_table import UNKNOWN, ReportTable

#: Vessels of a lesion that a table shows; `plan.json` has all.
MOST_VESSELS = 12


def answer_tables(answers: Answers) -> tuple[ReportTable, ...]:
    """The answers as tables, the trajectories first."""
    limits, found = answers.question.limits, []
    goal = f"lesion {answers.question.lesion + 1}" if answers.at_lesion else "the target"
    if answers.trajectories:
        if answers.ranking is None:
            found.append(trajectories_table(f"Trajectory to {goal}", answers.trajectories, limits))
        else:
            found.append(_ranked(f"Ranked trajectories to {goal}", answers.ranking))
        found.append(clearances_table("Clearances of the first trajectory", answers.trajectories[0], limits))
    if answers.ablation is not None:
        found.append(ablation_table(answers.ablation))
    if answers.resection is not None:
        found.append(resection_table(answers.resection))
    if answers.feeding is not None and answers.feeding.vessels:
        found.append(feeding_table(answers.feeding))
    return tuple(found)


def _ranked(title: str, ranking: Ranking) -> ReportTable:
    """The trajectories of a ranking, with how many are nearly the same as each."""
    note = (
        f"{ranking.accepted} of {ranking.candidates} trajectories keep to the limits. Alike: others entering near it, "
        "and are no better."
    )
    table = trajectories_table(title, [ranked.evaluation for ranked in ranking.trajectories], ranking.limits, note)
    return replace(
        table,
        columns=(*table.columns, "alike"),
        rows=tuple((*row, str(ranked.alike)) for row, ranked in zip(table.rows, ranking.trajectories, strict=True)),
    )


def trajectories_table(
    title: str, evaluations: Sequence[TrajectoryEvaluation], limits: Limits, note: str = ""
) -> ReportTable:
    """One row per trajectory, the best first; choosing one shows its target."""
    return ReportTable(
        title,
        ("rank", "length mm", "in liver mm", "clearance mm", "nearest", "crosses", "angle °", "entry LPS mm"),
        tuple(_trajectory(number, evaluation, limits) for number, evaluation in enumerate(evaluations, start=1)),
        (0, 4),
        f"{note} Crosses: vessels from 3 mm in diameter, the largest. Angle: to the capsule's normal.".strip(),
        tuple(evaluation.trajectory.target_mm for evaluation in evaluations),
        are_trajectories=True,
    )


def _trajectory(number: int, evaluation: TrajectoryEvaluation, limits: Limits) -> tuple[str, ...]:
    least = least_clearance(evaluation, limits)
    crossed = evaluation.vessel_crossings
    angle_deg = evaluation.entry_angle_deg
    return (
        str(number),
        f"{evaluation.length_mm:.1f}",
        f"{evaluation.length_in_liver_mm:.1f}",
        UNKNOWN if least is None else f"{least.clearance_mm:.1f}",
        UNKNOWN if least is None else least.title,
        f"{len(crossed)}, {2 * max(c.radius_mm for c in crossed):.1f} mm" if crossed else "0",
        UNKNOWN if angle_deg is None else f"{angle_deg:.0f}",
        ", ".join(f"{mm:.0f}" for mm in evaluation.trajectory.entry_mm),
    )


def clearances_table(title: str, evaluation: TrajectoryEvaluation, limits: Limits) -> ReportTable:
    """One row per structure that is kept clear of, the nearest first; each the place where it is nearest."""
    clearances = sorted(
        (clearance for clearance in evaluation.clearances if clearance.structure in limits.least_clearance_mm),
        key=lambda clearance: clearance.clearance_mm,
    )
    return ReportTable(
        title,
        ("structure", "clearance mm", "at least mm", "limit"),
        tuple(
            (
                c.title,
                f"{c.clearance_mm:.1f}",
                f"{limits.least_clearance_mm[c.structure]:.1f}",
                "too near" if c.clearance_mm < limits.least_clearance_mm[c.structure] else UNKNOWN,
            )
            for c in clearances
        ),
        (0, 3),
        places_mm=tuple(clearance.at_mm for clearance in clearances),
    )


def drawn_trajectories(evaluations: Sequence[TrajectoryEvaluation]) -> tuple[DrawnTrajectory, ...]:
    """What pictures show of the trajectories."""
    return tuple(
        DrawnTrajectory(f"trajectory {number}", e.trajectory.entry_mm, e.trajectory.target_mm, e.trajectory.radius_mm)
        for number, e in enumerate(evaluations, start=1)
    )


def feeding_table(feeding: LesionFeeding) -> ReportTable:
    """One row per vessel near the lesion, the one that most of it is nearest to first; each a place."""
    shown = feeding.vessels[:MOST_VESSELS]
    rows = tuple(
        (
            f"{vessel.structure.title} {vessel.branch}",
            str(vessel.generation),
            f"{2 * vessel.radius_mm:.1f}",
            f"{vessel.distance_mm:.1f}",
            f"{100 * vessel.share:.0f}",
        )
        for vessel in shown
    )
    columns = ("branch", "generation", "diameter mm", "distance mm", "share %")
    note = "Share: the part of the lesion that is nearer to this branch than to any other."
    if len(shown) < len(feeding.vessels):
        note += f" {len(feeding.vessels) - len(shown)} with a smaller share are not shown."
    return ReportTable("Vessels that may feed it", columns, rows, (0,), note, tuple(vessel.at_mm for vessel in shown))


def ablation_table(check: AblationCheck) -> ReportTable:
    """One row per finding."""
    rows = [
        ("zone", f"{2 * check.zone.along_mm:.0f} x {2 * check.zone.across_mm:.0f} mm, {check.zone.volume_ml:.1f} ml")
    ]
    if check.tumor is not None:
        tumor = check.tumor
        rows += [
            ("tumor covered", _share_covered(tumor.covered)),
            (f"with {check.margin_mm:g} mm margin", _share_covered(tumor.covered_with_margin)),
            (
                "smallest margin",
                f"{tumor.smallest_margin_mm:.1f} ± {tumor.uncertainty_mm:.1f} mm"
                + (": TOO SMALL, tumor is left outside" if tumor.smallest_margin_mm < 0 else ""),
            ),
        ]
    rows.append(("healthy liver in it", f"{check.healthy_liver_ml:.1f} ml"))
    sinks = [vessel for vessel in check.vessels if vessel.heat_sink]
    rows.append(("vessels in it", f"{len(check.vessels)}, of which {len(sinks)} may cool it"))
    rows += [(f"to {other.structure.title}", f"{other.distance_mm:.1f} mm") for other in check.others]
    return ReportTable("Ablation", ("what", "how much"), tuple(rows), (0, 1))


def _share_covered(share: float) -> str:
    if share >= 1:
        return "100 %"
    # Rounded down: what is not covered must not read as 100 %.
    return f"{floor(1000 * share) / 10:.1f} %: NOT WHOLE"
