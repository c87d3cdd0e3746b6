# SPDX-License-Identifier: Apache-2.0
"""How a CT is brought to a network's grid, cut into windows, and scores come back: our way, nnU-Net's or MONAI's.

A network answers as it did where it was trained only if all of this is done as it was there. nnU-Net clips HU before
it interpolates, with cubic splines that pass through the voxels and average nothing; where voxels are much longer along
one axis, each voxel takes the nearest along that axis. It covers the CT exactly, so that its spacing is the plans' but
for rounding. Its windows are spread evenly; their Gaussian's top lies on a voxel, half a voxel behind the middle of an
even window. Beyond the CT is the mean HU. (nnunetv2 2.8: `default_preprocessor`, `default_resampling`,
`predict_from_raw_data`, `sliding_window_prediction`.)

MONAI interpolates linearly and averages nothing; the first voxel of its grid lies on the first of the turned CT. Its
windows are a fixed step apart, the last one moved back. (monai 1.6: `Spacing`, `sliding_window_inference`.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_array

from liver_seg_ros.geometry import Geometry, Vector, to_vector

OWN, NNUNET, MONAI = CONVENTIONS = ("own", "nnunet", "monai")

#: How windows that overlap are averaged: by a Gaussian about their middle, or all alike.
GAUSSIAN, ALIKE = BLENDS = ("gaussian", "alike")

#: What the axes i, j, k of a network's input may grow to: left or right, back or front, and the head. Ours is LPS.
LPS, RAS = "LPS", "RAS"
ORIENTATIONS = (LPS, RAS, "LAS", "RPS")

#: Spacings that differ by more than this factor are not interpolated across.
_ANISOTROPIC = 3.0

#: Weights of a spline that are smaller are left out; they decay by a factor of 3.7 from voxel to voxel.
_LEAST_SPLINE_WEIGHT = 1e-7

#: Digits of a voxel that positions are rounded to before the nearest is taken: noise must not choose of two as near.
_DIGITS = 6

#: `(N_target, N_source)` weights along an index axis of two grids.
AxisWeights = Callable[[Geometry, Geometry, int], csr_array]


def network_grid(geometry: Geometry, spacing_mm: Vector, convention: str, orientation: str = LPS) -> Geometry:
    """The grid next to `spacing_mm` that a network of this convention sees of what lies on `geometry`.

    Its axes are those of `geometry`, whatever the network's `orientation`, which says where they begin.
    """
    pairs = list(zip(geometry.size, geometry.spacing_mm, spacing_mm, strict=True))
    if convention == NNUNET:
        i, j, k = (n * old / max(1, round(old / new * n)) for n, old, new in pairs)
        return geometry.resampled((i, j, k))
    if convention == MONAI:
        size = tuple(max(1, round((n - 1) * old / new + 1)) for n, old, new in pairs)
        first = [
            0.0 if own == ours else n - 1 - (m - 1) * new / old
            for own, ours, m, (n, old, new) in zip(orientation, LPS, size, pairs, strict=True)
        ]
        return Geometry(size, spacing_mm, to_vector(geometry.index_to_lps(first)), geometry.direction)  # type: ignore[arg-type]
    return geometry.resampled(spacing_mm)


def linear_weights(source: Geometry, target: Geometry, axis: int) -> csr_array:
    """Linear interpolation, the outermost voxels repeated: how MONAI interpolates images and scores."""
    count = source.size[axis]
    centers = np.clip(_centers(source, target, axis), 0, count - 1)
    below = np.minimum(centers.astype(int), max(0, count - 2))
    share = (centers - below).astype(np.float32)
    columns = np.minimum(np.stack([below, below + 1], axis=1), count - 1)
    return _matrix(columns, np.stack([1 - share, share], axis=1), count)


def nearest_weights(source: Geometry, target: Geometry, axis: int) -> csr_array:
    """The nearest voxel, the one behind where two are as near."""
    count = source.size[axis]
    chosen = np.floor(np.round(_centers(source, target, axis), _DIGITS) + 0.5).astype(int)
    return _matrix(np.clip(chosen, 0, count - 1)[:, None], np.ones((len(chosen), 1), np.float32), count)


def image_weights(source: Geometry, target: Geometry, axis: int) -> csr_array:
    """How nnU-Net interpolates images: by cubic splines, or nearest along an axis of long voxels.

    Both grids have one extent, as `network_grid` makes them.
    """
    if _long_axis(source.spacing_mm, target.spacing_mm) == axis:
        return nearest_weights(source, target, axis)
    return _spline_weights(source.size[axis], target.size[axis])


def score_weights(source: Geometry, target: Geometry, axis: int) -> csr_array:
    """How nnU-Net interpolates scores: linearly, or nearest along an axis of long voxels."""
    nearest = _long_axis(source.spacing_mm, target.spacing_mm) == axis
    return (nearest_weights if nearest else linear_weights)(source, target, axis)


#: By convention, how images are interpolated, and how scores are; None for our own way (`resampling`).
IMAGE_WEIGHTS: dict[str, AxisWeights | None] = {OWN: None, NNUNET: image_weights, MONAI: linear_weights}
SCORE_WEIGHTS: dict[str, AxisWeights | None] = {OWN: None, NNUNET: score_weights, MONAI: linear_weights}


def flips_of(orientation: str) -> tuple[slice, slice]:
    """The index of a plane `(J, I)` that turns it from ours to `orientation`, and back."""
    along_i, along_j = (
        slice(None, None, 1 if own == ours else -1) for own, ours in zip(orientation, LPS[:2], strict=False)
    )
    return along_j, along_i


def bell(top: float, size: int, sigma: float) -> NDArray[np.float32]:
    """`(size,)` a Gaussian over the voxels of a window, 1 at `top`."""
    return np.exp(-0.5 * ((np.arange(size) - top) / sigma) ** 2).astype(np.float32)


def _long_axis(first: Vector, second: Vector) -> int | None:
    """The axis along which nothing is interpolated; the first grid with a much longer side decides."""
    for spacing in (first, second):
        longest = max(spacing)
        if longest / min(spacing) > _ANISOTROPIC:
            axes = [axis for axis, length in enumerate(spacing) if length == longest]
            return axes[0] if len(axes) == 1 else None
    return None


def _centers(source: Geometry, target: Geometry, axis: int) -> NDArray[np.float64]:
    """`(N,)` where the voxels of `target` lie along an axis of `source`, in its voxels."""
    first = source.lps_to_index(target.origin_mm)[axis]
    centers: NDArray[np.float64] = first + target.spacing_mm[axis] / source.spacing_mm[axis] * np.arange(
        target.size[axis]
    )
    return centers


def _matrix(columns: NDArray[np.int64], shares: NDArray[np.float32], count: int) -> csr_array:
    """`(N, count)` of `columns` and `shares` `(N, M)`, without zeros."""
    rows = np.broadcast_to(np.arange(len(columns))[:, None], columns.shape)
    kept = shares > 0
    return csr_array((shares[kept], (rows[kept], columns[kept])), shape=(len(columns), count))


@lru_cache(maxsize=12)
def _spline_weights(count: int, wanted: int) -> csr_array:
    """Cubic splines from `count` voxels to `wanted` over the same extent.

    The function that nnU-Net's `skimage.transform.resize` calls is asked what it makes of each voxel alone.
    """
    weights = ndimage.zoom(np.eye(count), (wanted / count, 1), order=3, mode="nearest", grid_mode=True)
    weights[np.abs(weights) < _LEAST_SPLINE_WEIGHT] = 0
    return csr_array((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))
