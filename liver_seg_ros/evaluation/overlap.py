# SPDX-License-Identifier: Apache-2.0
"""How well one mask covers another, from the four counts of voxels.

With A the answer, T the truth, and both in an image of V voxels:

    tp = |A and T|    fp = |A without T|    fn = |T without A|    tn = V - |A or T|

Empty masks: a ratio whose denominator is 0 is NaN, as in MONAI: the case does not answer the question, and means leave
it out (`numpy.nanmean`). So Dice, IoU and VOE are NaN only where both masks are empty, and 0, 0 and 1 where one is.
Precision is NaN for an empty answer, recall for an empty truth, specificity for a truth that fills the image.

Paper 1 (TransFusionNet, section III-A) prints two equations under names that usually mean something else. Both forms
are here, named apart: `volume_similarity` is its VOE (equation 14), `specificity` its precision (equation 15). (What it
prints as precision is the usual one all the same: see `training.published`.)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.evaluation.mask_pairs import checked_masks


@dataclass(frozen=True)
class Overlap:
    """The four counts, and what follows from them. Each figure is 1 for a perfect answer unless it says otherwise."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def dice(self) -> float:
        """2 tp / (2 tp + fp + fn) (paper 1, equation 13; paper 5, equation 20)."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """tp / (tp + fp + fn), the Jaccard index (paper 1, equation 12; paper 3, section 6; paper 5, equation 24)."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def volume_overlap_error(self) -> float:
        """1 - tp / (tp + fp + fn), the usual VOE (Heimann et al. 2009): 0 for a perfect answer, 1 where apart."""
        return 1 - self.iou

    @property
    def volume_similarity(self) -> float:
        """2 (|A| - |T|) / (|A| + |T|), from -2 (empty answer) to 2 (empty truth), 0 for equal volumes.

        Paper 1's VOE (equation 14). It compares volumes and not places: two masks apart of the same volume have 0.
        """
        return _ratio(2 * (self.fp - self.fn), 2 * self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """tp / (tp + fp), the usual one (paper 4, table 1; paper 5, equation 22)."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """tp / (tp + fn) (paper 1, equation 16)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def sensitivity(self) -> float:
        """Another name of `recall` (paper 4, table 1)."""
        return self.recall

    @property
    def specificity(self) -> float:
        """tn / (tn + fp) (paper 4, table 1; paper 5, equation 23).

        Paper 1's precision (equation 15): |I - (A or T)| / |I - T|, with I the image.
        """
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def accuracy(self) -> float:
        """(tp + tn) / V (paper 5, equation 21)."""
        return _ratio(self.tp + self.tn, self.tp + self.tn + self.fp + self.fn)

    @property
    def mcc(self) -> float:
        """Matthews correlation coefficient (paper 5, equation 25), -1 to 1, 0 for what chance does.

            (tp tn - fp fn) / sqrt((tp + fp) (tp + fn) (tn + fp) (tn + fn))

        Where only one mask is empty or full, 0/0 stands for no relation, so 0; where one is empty and the other full,
        -1 (Chicco & Jurman 2020); where both are and agree, NaN.
        """
        product = (self.tp + self.fp) * (self.tp + self.fn) * (self.tn + self.fp) * (self.tn + self.fn)
        if product > 0:
            return (self.tp * self.tn - self.fp * self.fn) / sqrt(product)
        if self.fp + self.fn == 0:
            return nan
        return -1.0 if self.tp + self.tn == 0 and 0 in (self.fp, self.fn) else 0.0


def overlap(answer: NDArray[Any], truth: NDArray[Any]) -> Overlap:
    """Count the voxels of two masks of one shape, 2D or 3D.

    Raises:
        InputError: other shapes, or values that are not 0 and 1.
    """
    a, t = checked_masks(answer, truth)
    both, in_answer, in_truth = (int(np.count_nonzero(mask)) for mask in (a & t, a, t))
    return Overlap(both, in_answer - both, in_truth - both, a.size - in_answer - in_truth + both)


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else nan
