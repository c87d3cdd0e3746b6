# SPDX-License-Identifier: Apache-2.0
"""What the first network of a cascade found, as the second one is given it: nnU-Net's way (batchgenerators 0.25.5)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.conventions import nearest_weights, score_weights
from liver_seg_ros.inference.resampling import resampled_slices

#: Shares that differ by less are equal.
_EQUAL = 1e-6


def class_slices(found: NDArray[np.uint8], geometry: Geometry, grid: Geometry) -> Iterator[NDArray[np.float32]]:
    """The slices `(J, I)` on `grid` of the classes `found` `(K, J, I)` on `geometry`, as numbers.

    The class with the largest interpolated share wins; of equal ones that of the nearest voxel, else the smallest.
    """
    numbers = np.flatnonzero(np.bincount(found.reshape(-1), minlength=1))
    shares = resampled_slices(lambda k: found[k] == numbers[:, None, None], geometry, grid, score_weights)
    nearest = resampled_slices(lambda k: found[k], geometry, grid, nearest_weights)
    for share, near in zip(shares, nearest, strict=True):
        index = np.searchsorted(numbers, near)
        levels = share >= share.max(axis=0) - _EQUAL
        is_level = np.take_along_axis(levels, index[None], axis=0)[0]
        yield np.where(is_level, near, numbers[levels.argmax(axis=0)]).astype(np.float32)
