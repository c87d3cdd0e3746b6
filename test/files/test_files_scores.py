# SPDX-License-Identifier: Apache-2.0
"""Scores as a table and as JSON: figures that are not there and distances to nothing can be told apart."""

from __future__ import annotations

import csv
import json
from math import inf, nan
from pathlib import Path

from liver_seg_ros.evaluation.case_scores import CaseScores
from liver_seg_ros.files.scores import write_scores_csv, write_scores_json

CASES = [
    CaseScores("a", {"tumor": {"dice": 0.25, "hd95_mm": inf, "lesion_recall": nan}}),
    CaseScores("b", {"tumor": {"dice": 0.75, "hd95_mm": 2.5, "lesion_recall": nan}}),
]


def test_the_table_has_a_row_for_each_figure(tmp_path: Path) -> None:
    write_scores_csv(tmp_path / "scores.csv", CASES)
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = {(row["case"], row["structure"], row["metric"]): row["value"] for row in csv.DictReader(file)}
    assert rows == {
        ("a", "tumor", "dice"): "0.25",
        ("a", "tumor", "hd95_mm"): "inf",
        ("a", "tumor", "lesion_recall"): "",
        ("b", "tumor", "dice"): "0.75",
        ("b", "tumor", "hd95_mm"): "2.5",
        ("b", "tumor", "lesion_recall"): "",
    }


def test_json_has_every_case_and_the_summary(tmp_path: Path) -> None:
    write_scores_json(tmp_path / "scores.json", CASES)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["cases"]["a"]["tumor"] == {"dice": 0.25, "hd95_mm": "inf", "lesion_recall": None}
    summary = scores["summary"]["tumor"]
    assert summary["dice"] == {"cases": 2, "mean": 0.5, "deviation": 0.3535533905932738, "worst": "a"}
    assert summary["hd95_mm"] == {"cases": 2, "mean": "inf", "deviation": None, "worst": "a"}
    assert summary["lesion_recall"] == {"cases": 0, "mean": None, "deviation": None, "worst": None}
