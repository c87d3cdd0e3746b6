# SPDX-License-Identifier: Apache-2.0
"""How many lesions are found, whatever their size."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.mask_pairs import Mask, checked_masks


@dataclass(frozen=True)
class LesionDetection:
    """Lesions of a case; add cases with `+` to judge many together.

    Attributes:
        in_truth: lesions that there are.
        in_answer: lesions that the answer claims.
        found: those of the truth that the answer found.
        right: those of the answer that are lesions.
    """

    in_truth: int
    in_answer: int
    found: int
    right: int

    @property
    def recall(self) -> float:
        """found / in_truth; NaN where the truth has none."""
        return self.found / self.in_truth if self.in_truth else nan

    @property
    def precision(self) -> float:
        """right / in_answer; NaN where the answer has none."""
        return self.right / self.in_answer if self.in_answer else nan

    @property
    def f1(self) -> float:
        """2 precision recall / (precision + recall); 0 where nothing is found, NaN where neither has a lesion."""
        if not self.in_truth and not self.in_answer:
            return nan
        return 2 * self.precision * self.recall / (self.precision + self.recall) if self.found else 0.0

    def __add__(self, other: LesionDetection) -> LesionDetection:
        return LesionDetection(
            self.in_truth + other.in_truth,
            self.in_answer + other.in_answer,
            self.found + other.found,
            self.right + other.right,
        )


def lesion_detection(
    answer: NDArray[Any], truth: NDArray[Any], iou: float = 0.5, merge: bool = True
) -> LesionDetection:
    """Count the lesions that two masks share, as LiTS does (Bilic et al. 2023, arXiv:1901.04056).

    A lesion is a part connected by faces. Lesions that are split or run together in one of the two masks are merged
    first: those of the truth that one lesion of the answer covers best, then those of the answer whose best match is
    the same group of the truth. A group is found when the IoU of its two sides is above `iou`; all its lesions then
    count as found and as right.

    Args:
        answer: mask of two or three dimensions.
        truth: mask of the same shape.
        iou: what a match must exceed, from 0 to below 1.
        merge: False compares lesions one by one; needs `iou` of at least 0.5, which makes a match unique.

    Raises:
        InputError: other shapes, values that are not 0 and 1, or an `iou` out of range.
    """
    lowest = 0.0 if merge else 0.5
    if not lowest <= iou < 1:
        raise InputError(f"iou {iou} must be from {lowest} to below 1")
    shared, size_a, size_t = _shared_voxels(*checked_masks(answer, truth))
    if not shared.any():
        return LesionDetection(len(size_t), len(size_a), 0, 0)
    match = _match_groups if merge else _match_pairs
    return LesionDetection(len(size_t), len(size_a), *match(shared, size_a, size_t, iou))


def _shared_voxels(a: Mask, t: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Voxels that each lesion of `a` shares with each of `t`, `(A, T)`, and the lesions' own, `(A,)` and `(T,)`."""
    connectivity = 4 if a.ndim == 2 else 6
    parts_a, count_a = cc3d.connected_components(a, connectivity=connectivity, return_N=True)
    parts_t, count_t = cc3d.connected_components(t, connectivity=connectivity, return_N=True)
    either = a | t
    pairs = parts_a[either].astype(np.int64) * (count_t + 1) + parts_t[either]
    joint = np.bincount(pairs, minlength=(count_a + 1) * (count_t + 1)).reshape(count_a + 1, count_t + 1)
    return joint[1:, 1:], joint[1:].sum(1), joint[:, 1:].sum(0)


def _match_pairs(
    shared: NDArray[np.int64], size_a: NDArray[np.int64], size_t: NDArray[np.int64], iou: float
) -> tuple[int, int]:
    """How many lesions of the truth are found, and how many of the answer are right."""
    pairs = int(np.count_nonzero(shared > iou * (size_a[:, None] + size_t - shared)))
    return pairs, pairs


def _match_groups(
    shared: NDArray[np.int64], size_a: NDArray[np.int64], size_t: NDArray[np.int64], iou: float
) -> tuple[int, int]:
    """The same after merging, in G groups."""
    covers_best = np.where(shared.any(0), shared.argmax(0), -1)  # (T,): lesion of the answer
    of_t = covers_best == np.unique(covers_best[covers_best >= 0])[:, None]  # (G, T): the group's lesions in the truth
    with_group = shared @ of_t.T  # (A, G) voxels
    of_a = (with_group.argmax(1) == np.arange(len(of_t))[:, None]) & with_group.any(1)  # (G, A): those in the answer
    both = (with_group.T * of_a).sum(1)
    is_found = both > iou * (of_a @ size_a + of_t @ size_t - both)
    return int(of_t[is_found].sum()), int(of_a[is_found].sum())
