# SPDX-License-Identifier: Apache-2.0
"""Precision over recall as the threshold on a probability falls, and the area under it (paper 3, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.mask_pairs import Mask
from liver_seg_ros.short_repr import short_repr

_BINS = 200


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """The curve, from the highest threshold to 0. A voxel is an answer where its probability is at least the threshold.

    Attributes:
        threshold: `(N,)` falling; those at which no voxel is added are left out.
        precision: `(N,)` share of the answers that are right.
        recall: `(N,)` share of the truth that is answered, rising to 1; NaN where there is no truth.
    """

    threshold: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    __repr__ = short_repr

    @property
    def average_precision(self) -> float:
        """The sum over thresholds of precision times what recall gains there; NaN where there is no truth."""
        if not self.recall.size or np.isnan(self.recall[-1]):
            return nan
        return float((np.diff(self.recall, prepend=0.0) * self.precision).sum())


class PrecisionRecallCounter:
    """Counts voxels by their probability, so that any number of cases make one curve and none of them is kept.

    Args:
        bins: thresholds from 0 to 1, evenly apart.

    Raises:
        InputError: no bin.
    """

    def __init__(self, bins: int = _BINS) -> None:
        if bins < 1:
            raise InputError(f"{bins} bins: give 1 or more")
        self._right, self._wrong = np.zeros(bins, np.int64), np.zeros(bins, np.int64)

    def add(self, probability: NDArray[np.floating[Any]], truth: Mask) -> None:
        """Count voxels: their probabilities, 0 to 1, and whether they are of the structure, in arrays of one shape.

        Raises:
            InputError: other shapes, or no probabilities.
        """
        if probability.shape != truth.shape:
            raise InputError(f"probabilities of shape {probability.shape} and truth of {truth.shape}: give one shape")
        if probability.size and not (probability.min() >= 0 and probability.max() <= 1 + 1e-6):
            raise InputError("probabilities are numbers from 0 to 1")
        bins = len(self._right)
        place = np.minimum((probability * bins).astype(np.int64), bins - 1)
        self._right += np.bincount(place[truth], minlength=bins)
        self._wrong += np.bincount(place[~truth], minlength=bins)

    @property
    def curve(self) -> PrecisionRecall:
        """Of all that was counted."""
        place = np.flatnonzero(self._right + self._wrong)[::-1]
        threshold = place / len(self._right)
        right, wrong = (np.cumsum(counts[place]).astype(np.float64) for counts in (self._right, self._wrong))
        total = right[-1] if right.size else 0.0
        return PrecisionRecall(threshold, right / (right + wrong), right / total if total else np.full(right.size, nan))
