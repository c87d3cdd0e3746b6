# SPDX-License-Identifier: Apache-2.0
"""Whether wide vessels are found as well as thin ones, which are many and decide every other score."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, nan
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.mask_pairs import Mask, checked_masks
from liver_seg_ros.evaluation.skeleton import centerline


def dice_by_width(
    answer: NDArray[Any], truth: NDArray[Any], spacing_mm: Sequence[float], bounds_mm: Sequence[float] = (3.0, 6.0)
) -> dict[tuple[float, float], float]:
    """Dice of the vessels of each width, 0 to 1.

    A voxel, of the answer or of the truth, counts for the width that the true vessel has at the point of its centerline
    that is nearest; the width is twice that point's distance to the vessel's surface. So what an answer adds counts
    against the vessel beside which it was added.

    Args:
        answer: mask `[k, j, i]`.
        truth: mask of the same shape.
        spacing_mm: voxel spacing in file order `(i, j, k)`.
        bounds_mm: widths at which the classes part, rising.

    Returns:
        `(least, below)` in mm -> Dice, for each class; NaN where the truth has no vessel as wide.

    Raises:
        InputError: other shapes, values that are not 0 and 1, or a spacing that does not fit.
    """
    a, t = checked_masks(answer, truth)
    if len(spacing_mm) != a.ndim or min(spacing_mm) <= 0:
        raise InputError(f"spacing_mm must be {a.ndim} positive lengths, not {tuple(spacing_mm)}")
    edges = (0.0, *bounds_mm, inf)
    classes = list(pairwise(edges))
    if not t.any():
        return dict.fromkeys(classes, nan)
    of_answer, of_truth = _widths(t, (a, t), np.array(spacing_mm[::-1], dtype=float))
    both = of_truth[a[t]]  # widths of the voxels that are in both, in the order of the truth's
    scores = {}
    for least, below in classes:
        sizes = [int(np.count_nonzero((w >= least) & (w < below))) for w in (of_answer, of_truth, both)]
        scores[least, below] = 2 * sizes[2] / (sizes[0] + sizes[1]) if sizes[1] else nan
    return scores


def _widths(truth: Mask, masks: tuple[Mask, ...], spacing_kji_mm: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """For each of `masks`, the true vessel's width in mm at each of its voxels, in the order of `np.nonzero`."""
    line = centerline(truth)
    depth_mm = edt.edt(np.ascontiguousarray(truth), anisotropy=tuple(spacing_kji_mm), black_border=False, parallel=1)
    width_mm = 2 * depth_mm[line].astype(float)
    tree = cKDTree(np.argwhere(line) * spacing_kji_mm)
    return [width_mm[tree.query(np.argwhere(mask) * spacing_kji_mm)[1]] for mask in masks]
