# SPDX-License-Identifier: Apache-2.0
"""How far the surface of one mask lies from that of another, in mm.

A mask's surface S is its voxels that touch, by a face, a voxel outside it; what lies behind the image's border is
outside. d(s, S') is the distance of the center of voxel s to the nearest center in S'. This is MONAI's definition;
sub-voxel surfaces (marching cubes) give slightly other numbers.

Empty masks: where both are empty, every figure is NaN (no surface to compare). Where one is, the distances are infinite
and surface Dice is 0, so that a mean over cases does not pass over a missed structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.mask_pairs import Mask, checked_masks
from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm, one per surface voxel: of the answer to the truth, and of the truth to the answer."""

    to_truth: NDArray[np.float64]
    to_answer: NDArray[np.float64]

    __repr__ = short_repr

    @property
    def assd(self) -> float:
        """Average symmetric surface distance (Heimann et al. 2009), with A and T the surfaces:

        (sum_{a in A} d(a, T) + sum_{t in T} d(t, A)) / (|A| + |T|)
        """
        distances = np.concatenate([self.to_truth, self.to_answer])
        return float(distances.mean()) if distances.size else nan

    @property
    def hd95(self) -> float:
        """`hausdorff(95)`, which a few stray voxels do not change."""
        return self.hausdorff(95)

    def hausdorff(self, percentile: float = 100) -> float:
        """max(P_{a in A} d(a, T), P_{t in T} d(t, A)), P the percentile (Huttenlocher et al. 1993 for 100)."""
        if not self.to_truth.size and not self.to_answer.size:
            return nan
        if self._one_is_empty:
            return inf
        return float(max(np.percentile(self.to_truth, percentile), np.percentile(self.to_answer, percentile)))

    def surface_dice(self, tolerance_mm: float) -> float:
        """Share of both surfaces that lies within the tolerance of the other (Nikolov et al. 2021, on voxels):

        (|{a: d(a, T) <= tolerance}| + |{t: d(t, A) <= tolerance}|) / (|A| + |T|)
        """
        if tolerance_mm < 0:
            raise InputError(f"a tolerance of {tolerance_mm} mm is negative")
        near = np.count_nonzero(self.to_truth <= tolerance_mm) + np.count_nonzero(self.to_answer <= tolerance_mm)
        count = self.to_truth.size + self.to_answer.size
        return float(near / count) if count else nan

    @property
    def _one_is_empty(self) -> bool:
        return self.to_truth.size == 0 or self.to_answer.size == 0


def surface_distances(answer: NDArray[Any], truth: NDArray[Any], spacing_mm: Sequence[float]) -> SurfaceDistances:
    """Measure between two masks of one shape, `[k, j, i]` or `[j, i]`.

    Args:
        answer: what is judged.
        truth: what is right.
        spacing_mm: voxel spacing in file order, `(i, j, k)` or `(i, j)`.

    Raises:
        InputError: other shapes, values that are not 0 and 1, or a spacing that does not fit.
    """
    a, t = checked_masks(answer, truth)
    if len(spacing_mm) != a.ndim or min(spacing_mm) <= 0:
        raise InputError(f"spacing_mm must be {a.ndim} positive lengths, not {tuple(spacing_mm)}")
    a, t = _cropped(a, t)
    return SurfaceDistances(*_between(_surface(a), _surface(t), tuple(spacing_mm)[::-1]))


def _cropped(a: Mask, t: Mask) -> tuple[Mask, Mask]:
    """Both on the smallest box that holds both; nearest surface voxels lie in it, so no distance changes."""
    either = a | t
    if not either.any():
        return a, t
    box = []
    for axis in range(either.ndim):
        filled = np.flatnonzero(either.any(axis=tuple(other for other in range(either.ndim) if other != axis)))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return a[tuple(box)], t[tuple(box)]


def _surface(mask: Mask) -> Mask:
    return mask & ~binary_erosion(mask, border_value=0)


def _between(a: Mask, t: Mask, spacing_kji_mm: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not a.any() or not t.any():
        return np.full(np.count_nonzero(a), inf), np.full(np.count_nonzero(t), inf)
    to_t, to_a = (edt.edt(np.ascontiguousarray(~s), anisotropy=spacing_kji_mm, parallel=1) for s in (t, a))
    return to_t[a].astype(np.float64), to_a[t].astype(np.float64)
