# SPDX-License-Identifier: Apache-2.0
"""Curves of a comparison as CSV: precision over recall, and Dice over the steps of the training."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from math import isnan
from pathlib import Path

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.training.comparison import Run

PRECISION_RECALL_COLUMNS = ("recipe", "seed", "structure", "threshold", "recall", "precision")
DICE_COLUMNS = ("recipe", "seed", "step", "structure", "dice")


def write_precision_recall_csv(path: Path, runs: Iterable[Run]) -> None:
    """A row for each point of each curve; a structure that no case has is left out."""
    rows = (
        (run.variant, run.seed, structure, f"{threshold:g}", f"{recall:.6f}", f"{precision:.6f}")
        for run in runs
        for structure, curve in run.curves.items()
        for threshold, recall, precision in zip(curve.threshold, curve.recall, curve.precision, strict=True)
        if not isnan(recall)
    )
    _write(path, PRECISION_RECALL_COLUMNS, rows)


def write_dice_csv(path: Path, runs: Iterable[Run]) -> None:
    """A row for each measurement on the validation cases that the checkpoints hold."""
    rows = (
        (run.variant, run.seed, step, structure, repr(dice))
        for run in runs
        for step, scores in run.checkpoint.history
        for structure, dice in scores.items()
    )
    _write(path, DICE_COLUMNS, rows)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with written_beside(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
