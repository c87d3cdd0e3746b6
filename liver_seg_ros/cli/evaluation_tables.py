# SPDX-License-Identifier: Apache-2.0
"""The tables of `liver-seg evaluate`: means over all cases, and the cases, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan

from liver_seg_ros.evaluation.case_scores import ALL, CaseScores, Summary, summarize
from liver_seg_ros.report_table import UNKNOWN, ReportTable

#: Metric -> head of its column. What is not here stands in the files only.
HEADS = {
    "dice": "Dice",
    "iou": "IoU",
    "volume_overlap_error": "VOE",
    "precision": "precision",
    "recall": "recall",
    "assd_mm": "ASSD mm",
    "hd95_mm": "HD95 mm",
    "surface_dice": "surface Dice",
    "cl_dice": "clDice",
    "lesion_precision": "lesion precision",
    "lesion_recall": "lesion recall",
    "lesion_f1": "lesion F1",
}


def summary_tables(cases: Sequence[CaseScores]) -> list[ReportTable]:
    """Mean and standard deviation of each metric, a row for each structure."""
    summaries = summarize(cases)
    rows = tuple(
        (structure, *(_mean(summary.get(metric)) for metric in HEADS))
        for structure, summary in summaries.items()
        if structure != ALL
    )
    mean_iou = summaries[ALL]["mean_iou"]
    notes = [f"Mean IoU of a case's structures: {_mean(mean_iou)}."]
    if len(cases) > 1:
        notes.insert(0, "Mean +- standard deviation over the cases that have a value.")
    title = f"Scores of {len(cases)} {'case' if len(cases) == 1 else 'cases'}"
    return [ReportTable(title, ("structure", *HEADS.values()), rows, note=" ".join(notes))]


def cases_table(cases: Sequence[CaseScores]) -> list[ReportTable]:
    """Dice of each case, the worst first; none for a single case, whose scores stand in the summary."""
    if len(cases) < 2:
        return []
    structures = [structure for structure in summarize(cases) if structure != ALL]
    worst_first = sorted(cases, key=_mean_iou)
    rows = tuple(
        (case.name, *(_figure(case.scores[structure]["dice"]) for structure in structures), _figure(_mean_iou(case)))
        for case in worst_first
    )
    heads = ("case", *(f"Dice {structure}" for structure in structures), "mean IoU")
    return [ReportTable("Cases, the worst first", heads, rows)]


def _mean_iou(case: CaseScores) -> float:
    return case.scores[ALL]["mean_iou"]


def _mean(summary: Summary | None) -> str:
    if summary is None or not summary.cases:
        return UNKNOWN
    mean = _figure(summary.mean)
    return mean if isnan(summary.deviation) else f"{mean} ± {_figure(summary.deviation)}"


def _figure(value: float) -> str:
    if isnan(value):
        return UNKNOWN
    return f"{value:.3f}" if isfinite(value) else "inf"
