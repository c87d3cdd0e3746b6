# SPDX-License-Identifier: Apache-2.0
"""Many cases against their truth: every metric of each, and over all the mean, its spread and the worst case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from statistics import fmean, stdev

import numpy as np

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.metrics import evaluate, mean_iou
from liver_seg_ros.grids import difference, reordering
from liver_seg_ros.labels import BACKGROUND, LIVER, SEGMENTED, Structure
from liver_seg_ros.volume import LabelVolume

#: Where the mean over structures stands among the scores of a case.
ALL = "all"

#: Metrics of which a smaller value is better; of all others a larger one.
SMALLER_IS_BETTER = ("assd_mm", "hd95_mm", "volume_overlap_error")


@dataclass(frozen=True)
class Definitions:
    """Where papers score the same thing in different ways.

    Attributes:
        organ: see `metrics.evaluate`.
        background_in_mean: whether the mean IoU of a case takes in the background (see `metrics.mean_iou`).
        tolerance_mm: of surface Dice.
    """

    organ: bool = True
    background_in_mean: bool = False
    tolerance_mm: float = 2.0


@dataclass(frozen=True)
class CaseScores:
    """One case.

    Attributes:
        name: what it is called among the others.
        scores: structure -> metric -> value; `ALL` has `mean_iou`. NaN where the metric has no value (the truth has no
            tumor, and none was found), infinite where a distance to nothing is meant (a structure was missed).
    """

    name: str
    scores: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Summary:
    """One metric of one structure over all cases that have a value.

    Attributes:
        cases: how many have one.
        mean: infinite where one is; NaN where none has a value.
        deviation: sample standard deviation (n - 1); NaN below two cases or where the mean is not finite.
        worst: name of the worst case, empty where none has a value.
    """

    cases: int
    mean: float
    deviation: float
    worst: str


def score_case(
    name: str, found: LabelVolume, truth: LabelVolume, structures: Iterable[Structure], definitions: Definitions
) -> CaseScores:
    """Score the labels of one case.

    Args:
        name: see `CaseScores`.
        found: what is judged, of the values of `SEGMENTED`; on the points of `truth`, in any order of axes.
        truth: what is right, likewise.
        structures: those of `SEGMENTED` that the truth speaks about. Others are taken for the organ that they lie in.
        definitions: how.

    Raises:
        InputError: the two lie on different points.
    """
    reorientation = reordering(found.geometry, truth.geometry)
    if reorientation is None:
        raise InputError(
            f"{name}: found labels and truth lie on different grids: {difference(found.geometry, truth.geometry)}. "
            "Resample one of them to the other."
        )
    values = {BACKGROUND: "background", **{structure.value: structure.name for structure in structures}}
    a, t = reorientation.apply(found.array), truth.array
    for structure in SEGMENTED:
        if structure.value not in values:
            a, t = (np.where(side == structure.value, np.uint8(LIVER.value), side) for side in (a, t))
    scores = evaluate(a, t, truth.geometry.spacing_mm, values, definitions.tolerance_mm, definitions.organ)
    counted = [value for value in values if value != BACKGROUND or definitions.background_in_mean]
    return CaseScores(name, {**scores, ALL: {"mean_iou": mean_iou(a, t, counted)}})


def summarize(cases: Sequence[CaseScores]) -> dict[str, dict[str, Summary]]:
    """Structure -> metric -> summary, in the order in which the cases have them."""
    names: dict[str, dict[str, None]] = {}
    for case in cases:
        for structure, metrics in case.scores.items():
            names.setdefault(structure, {}).update(dict.fromkeys(metrics))
    return {
        structure: {metric: _summary(cases, structure, metric) for metric in metrics}
        for structure, metrics in names.items()
    }


def _summary(cases: Sequence[CaseScores], structure: str, metric: str) -> Summary:
    values = {case.name: case.scores.get(structure, {}).get(metric, nan) for case in cases}
    known = {name: value for name, value in values.items() if not isnan(value)}
    if not known:
        return Summary(0, nan, nan, "")
    mean = inf if inf in known.values() else fmean(known.values())
    deviation = stdev(known.values()) if len(known) > 1 and mean != inf else nan
    worst = (max if metric in SMALLER_IS_BETTER else min)(known, key=lambda name: known[name])
    return Summary(len(known), mean, deviation, worst)
