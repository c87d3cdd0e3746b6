# SPDX-License-Identifier: Apache-2.0
"""clDice: whether the vessels are found as a tree, thin branches counting as much as thick ones."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.evaluation.mask_pairs import checked_masks
from liver_seg_ros.evaluation.skeleton import centerline


def cl_dice(answer: NDArray[Any], truth: NDArray[Any]) -> float:
    """Centerline Dice, 0 to 1 (Shit et al. 2021, arXiv:2003.07311, equations 1 and 2).

        Tprec = |S_A and T| / |S_A|    Tsens = |S_T and A| / |S_T|    clDice = 2 Tprec Tsens / (Tprec + Tsens)

    with S the centerline of a mask. NaN where both masks are empty, 0 where one is.

    Args:
        answer: mask of two or three dimensions.
        truth: mask of the same shape.

    Raises:
        InputError: other shapes, or values that are not 0 and 1.
    """
    a, t = checked_masks(answer, truth)
    if not a.any() and not t.any():
        return nan
    if not a.any() or not t.any():
        return 0.0
    line_a, line_t = centerline(a), centerline(t)
    precision = float(np.count_nonzero(line_a & t) / np.count_nonzero(line_a))
    sensitivity = float(np.count_nonzero(line_t & a) / np.count_nonzero(line_t))
    total = precision + sensitivity
    return 2 * precision * sensitivity / total if total else 0.0
