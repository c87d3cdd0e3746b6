# SPDX-License-Identifier: Apache-2.0
"""Writing the scores of cases: a row per case, structure and metric for a spreadsheet, and JSON with their summary."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from math import isfinite, isnan
from pathlib import Path
from typing import Any

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.evaluation.case_scores import CaseScores, summarize

COLUMNS = ("case", "structure", "metric", "value")


def write_scores_csv(path: Path, cases: Sequence[CaseScores]) -> None:
    """One row for each figure; the value is empty where a metric has none, and `inf` for a distance to nothing."""
    with written_beside(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for case in cases:
            for structure, metrics in case.scores.items():
                for metric, value in metrics.items():
                    writer.writerow((case.name, structure, metric, "" if isnan(value) else repr(value)))


def scores_to_dict(cases: Sequence[CaseScores]) -> dict[str, Any]:
    """Plain values for JSON: null where a metric has none, "inf" for a distance to nothing."""
    return {
        "cases": {
            case.name: {s: {m: plain_figure(v) for m, v in metrics.items()} for s, metrics in case.scores.items()}
            for case in cases
        },
        "summary": {
            structure: {
                metric: {
                    "cases": summary.cases,
                    "mean": plain_figure(summary.mean),
                    "deviation": plain_figure(summary.deviation),
                    "worst": summary.worst or None,
                }
                for metric, summary in metrics.items()
            }
            for structure, metrics in summarize(cases).items()
        },
    }


def write_scores_json(path: Path, cases: Sequence[CaseScores]) -> None:
    """See `scores_to_dict`."""
    with written_beside(path) as temporary:
        text = json.dumps(scores_to_dict(cases), indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def plain_figure(value: float) -> float | str | None:
    """For JSON: null where there is none, "inf" where it is."""
    if isnan(value):
        return None
    return value if isfinite(value) else "inf"
