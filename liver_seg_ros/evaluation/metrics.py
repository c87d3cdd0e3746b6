# SPDX-License-Identifier: Apache-2.0
"""How good a network's labels are: Dice for the training's log, and every metric of one case.

The metrics and their equations: `overlap`, `surfaces`, `centerlines`, `lesions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.evaluation.cl_dice import cl_dice
from liver_seg_ros.evaluation.lesions import lesion_detection
from liver_seg_ros.evaluation.mask_pairs import Mask, check_labels
from liver_seg_ros.evaluation.overlap import overlap
from liver_seg_ros.evaluation.surface_distances import surface_distances
from liver_seg_ros.labels import BACKGROUND, LIVER, SEGMENTED, TUMOR, VESSEL

#: Label value -> name of what this package segments, background included.
LABELS: dict[int, str] = {BACKGROUND: "background", **{s.value: s.name for s in SEGMENTED}}
#: Properties of `Overlap`, in the order in which tables show them.
OVERLAP_METRICS = (
    "dice",
    "iou",
    "volume_overlap_error",
    "volume_similarity",
    "precision",
    "recall",
    "sensitivity",
    "specificity",
    "accuracy",
    "mcc",
)


_IN_THE_LIVER = tuple(structure.name for structure in SEGMENTED)


class DiceCounter:
    """Dice coefficients over the voxels of all cases together.

    Args:
        labels: class index -> name, background included.
        counts: voxels per (answer, truth) to begin with, as `counts` gives them; None begins with none.
    """

    def __init__(self, labels: Mapping[int, str], counts: NDArray[np.int64] | None = None) -> None:
        self._labels = labels
        self._joint = np.zeros((len(labels), len(labels)), np.int64) if counts is None else counts

    @property
    def counts(self) -> NDArray[np.int64]:
        """(C, C) voxels per class (answered, true): those of several counters may be added."""
        return self._joint

    def add(self, answer: NDArray[np.integer], truth: NDArray[np.integer]) -> None:
        """Count one case; two arrays of the same shape. Raises `InputError` for a value that is not in `labels`."""
        count = len(self._labels)
        check_labels(answer, count)
        check_labels(truth, count)
        pairs = answer.astype(np.int64).reshape(-1) * count + truth.reshape(-1)
        self._joint += np.bincount(pairs, minlength=count * count).reshape(count, count)

    def scores(self) -> dict[str, float]:
        """Dice per structure; `liver` is the organ with all that lies in it. What neither has is left out."""
        scores = {}
        for value, name in self._labels.items():
            if value == BACKGROUND:
                continue
            # By names: of a network without the liver, or with other organs, the values are others.
            own = [v for v, n in self._labels.items() if n == name or (name == LIVER.name and n in _IN_THE_LIVER)]
            sizes = self._joint[own].sum() + self._joint[:, own].sum()
            if sizes > 0:
                scores[name] = float(2 * self._joint[np.ix_(own, own)].sum() / sizes)
        return scores


def evaluate(
    answer: NDArray[np.integer],
    truth: NDArray[np.integer],
    spacing_mm: Sequence[float],
    labels: Mapping[int, str] = LABELS,
    tolerance_mm: float = 2.0,
    organ: bool = True,
) -> dict[str, dict[str, float]]:
    """Every metric of one case, per structure.

    All have `OVERLAP_METRICS`, `assd_mm`, `hd95_mm` and `surface_dice`; the vessel has `cl_dice` and the tumor
    `lesion_precision`, `lesion_recall` and `lesion_f1` besides. What an empty mask gives stands with each metric.

    Args:
        answer: labels of two or three dimensions, `[k, j, i]`.
        truth: labels of the same shape.
        spacing_mm: voxel spacing in file order `(i, j, k)`.
        labels: label value -> name, background included.
        tolerance_mm: of surface Dice.
        organ: whether `liver` is the organ with the tumors and vessels in it, as LiTS, paper 2 and paper 5 score it, or
            the voxels of its label alone, as papers 3 and 4 do.

    Raises:
        InputError: other shapes, a value that is not in `labels`, or a spacing that does not fit.
    """
    check_labels(answer, max(labels) + 1)
    check_labels(truth, max(labels) + 1)
    scores = {}
    for value, name in labels.items():
        if value != BACKGROUND:
            a, t = (structure_mask(side, value, organ) for side in (answer, truth))
            scores[name] = _of_masks(a, t, spacing_mm, tolerance_mm)
            if value == VESSEL.value:
                scores[name]["cl_dice"] = cl_dice(a, t)
            if value == TUMOR.value:
                lesions = lesion_detection(a, t)
                scores[name] |= {
                    f"lesion_{figure}": getattr(lesions, figure) for figure in ("precision", "recall", "f1")
                }
    return scores


def mean_iou(answer: NDArray[np.integer], truth: NDArray[np.integer], values: Iterable[int]) -> float:
    """Mean over the label values of |A and T| / |A or T|, each label by its own voxels (paper 3, section 6).

    A label that neither has is left out; NaN where that leaves none. With `BACKGROUND` among the values the mean is
    over all classes, as paper 3 takes it, and flattered by the background's IoU, which is near 1.
    """
    each = [overlap(answer == value, truth == value).iou for value in values]
    known = [iou for iou in each if not isnan(iou)]
    return float(np.mean(known)) if known else nan


def structure_mask(labels: NDArray[np.integer], value: int, organ: bool = True) -> Mask:
    """Voxels of a structure; with `organ` the liver's include the tumors and vessels in it."""
    mask: Mask = labels > BACKGROUND if organ and value == LIVER.value else labels == value
    return mask


def _of_masks(answer: Mask, truth: Mask, spacing_mm: Sequence[float], tolerance_mm: float) -> dict[str, float]:
    counts, distances = overlap(answer, truth), surface_distances(answer, truth, spacing_mm)
    return {
        **{name: getattr(counts, name) for name in OVERLAP_METRICS},
        "assd_mm": distances.assd,
        "hd95_mm": distances.hd95,
        "surface_dice": distances.surface_dice(tolerance_mm),
    }
