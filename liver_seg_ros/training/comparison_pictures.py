# SPDX-License-Identifier: Apache-2.0
"""Curves of a comparison as pictures: precision over recall (paper 3, section 6), and Dice over the training.

Paper 1's Figure 5 compares its encoders by Dice. We have the paper's text and not its pictures: that Dice goes over the
steps there, is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path

import numpy as np

from liver_seg_ros.rendering.line_chart import Panel, Points, draw_line_chart
from liver_seg_ros.training.comparison import Run

#: Recalls at which curves of several seeds are averaged.
_RECALLS = np.linspace(0, 1, 101)


def draw_precision_recall(path: Path, runs: Sequence[Run]) -> bool:
    """A panel for each structure; of several seeds the mean precision at each recall. False where there is no curve."""
    panels = []
    for structure in dict.fromkeys(s for run in runs for s in run.curves):
        lines = {name: _mean_precision(of, structure) for name, of in _by_recipe(runs).items()}
        lines = {name: points for name, points in lines.items() if len(points[0])}
        if lines:
            panels.append(Panel(structure, lines))
    if panels:
        draw_line_chart(panels, ("recall", "precision"), path)
    return bool(panels)


def draw_dice(path: Path, runs: Sequence[Run]) -> bool:
    """A panel for each structure; of several seeds the mean at each step. False where nobody measured at two steps."""
    structures = dict.fromkeys(s for run in runs for _, scores in run.checkpoint.history for s in scores)
    panels = []
    for structure in structures:
        lines = {name: _mean_dice(of, structure) for name, of in _by_recipe(runs).items()}
        lines = {name: points for name, points in lines.items() if len(points[0]) > 1}
        if lines:
            panels.append(Panel(structure, lines))
    if panels:
        draw_line_chart(panels, ("step", "Dice on the validation cases"), path)
    return bool(panels)


def _mean_precision(runs: Sequence[Run], structure: str) -> Points:
    """At a recall that a curve passes over between two thresholds, between the two; below its first, the first."""
    curves = [run.curves[structure] for run in runs if structure in run.curves]
    known = [np.interp(_RECALLS, c.recall, c.precision) for c in curves if len(c.recall) and not isnan(c.recall[-1])]
    return (_RECALLS, np.mean(known, axis=0)) if known else (np.empty(0), np.empty(0))


def _mean_dice(runs: Sequence[Run], structure: str) -> Points:
    at: dict[int, list[float]] = {}
    for run in runs:
        for step, scores in run.checkpoint.history:
            if structure in scores:
                at.setdefault(step, []).append(scores[structure])
    steps = sorted(at)
    return np.array(steps, float), np.array([np.mean(at[step]) for step in steps])


def _by_recipe(runs: Sequence[Run]) -> dict[str, list[Run]]:
    return {name: [run for run in runs if run.variant == name] for name in dict.fromkeys(run.variant for run in runs)}
