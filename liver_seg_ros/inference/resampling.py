# SPDX-License-Identifier: Apache-2.0
"""From one voxel grid to another with the same axes: CT to network spacing, and class scores back to labels.

Values are interpolated linearly. Where the new voxels are wider, they are averaged too: a voxel of the source already
is an average over its own width, and a box of width sqrt(r^2 - 1) source voxels adds what a voxel r times as wide
lacks (variances of box filters add up), going over into plain interpolation as r goes to 1. The average is that of the
piecewise linear interpolant, so linear functions are reproduced exactly, whatever the ratio. Beyond the source's outer
voxel centers their value continues.

The filter is separable and works slice by slice: the source is converted to float one slice at a time, so that neither
a CT nor the scores of several classes ever exist in float at full size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry, Vector
from liver_seg_ros.inference.conventions import AxisWeights
from liver_seg_ros.inference.winners import winning_slices

#: Gives slice k of a source as an array `(J, I)`, or `(C, J, I)` for several classes, of any real type.
SliceOf = Callable[[int], NDArray[np.generic]]


def resample_to_spacing(
    array: NDArray[np.generic], geometry: Geometry, spacing_mm: Vector
) -> tuple[NDArray[np.float32], Geometry]:
    """`array` `(K, J, I)` on `geometry` brought to `spacing_mm` (file order), on the grid `Geometry.resampled`."""
    target = geometry.resampled(spacing_mm)
    return resample_to(array, geometry, target), target


def resample_to(array: NDArray[np.generic], source: Geometry, target: Geometry) -> NDArray[np.float32]:
    """`array` `(K, J, I)` on `source`, interpolated on `target`, whose axes must point the same way.

    Raises:
        InputError: the grids' directions differ.
    """
    result = np.empty(target.shape, np.float32)
    for k, plane in enumerate(resampled_slices(lambda k: array[k], source, target)):
        result[k] = plane
    return result


def resample_labels_to(labels: NDArray[np.uint8], source: Geometry, target: Geometry) -> NDArray[np.uint8]:
    """`labels` `(K, J, I)` on `source` brought to `target`: in each new voxel the label with the largest share.

    Raises:
        InputError: the grids' directions differ.
    """
    values = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=1)).astype(np.uint8)
    result = np.empty(target.shape, np.uint8)
    shares = (plane == values[:, None, None] for plane in labels)  # (C, J, I) each
    for k, winners in enumerate(largest_share(shares, source, target)):
        result[k] = values[winners]
    return result


def largest_share(
    class_slices: Iterable[NDArray[np.generic]],
    source: Geometry,
    target: Geometry,
    axis_weights: AxisWeights | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Index of the class whose interpolated value is largest, the first where equal.

    Args:
        class_slices: the slices `(C, J, I)` of all classes on `source`, in order; each is taken when it is needed, and
            only two or so are in memory at a time.
        source, target: grids whose axes point the same way.
        axis_weights: see `resampled_slices`; none is negative.

    Returns:
        The slices `(J, I)` uint8 of `target`, see `winners`.

    Raises:
        InputError: the grids' directions differ.
    """
    along_i, along_j, along_k = _weights(source, target, axis_weights)
    return winning_slices(in_order(class_slices), along_k, along_j, along_i)


def in_order(slices: Iterable[NDArray[np.generic]]) -> SliceOf:
    """Access by index to slices that come one after the other; an index must be larger than that of the call before."""
    numbered = enumerate(slices)
    return lambda k: next(plane for index, plane in numbered if index == k)


def resampled_slices(
    slice_of: SliceOf, source: Geometry, target: Geometry, axis_weights: AxisWeights | None = None
) -> Iterator[NDArray[np.float32]]:
    """The slices of `target` in order, each source slice being read once and dropped when no longer needed.

    Args:
        slice_of: gives the source's slices.
        source, target: grids whose axes point the same way.
        axis_weights: another way to interpolate along an axis than this module's (`conventions`).

    Yields:
        `(J, I)` float32, or `(C, J, I)` where `slice_of` gives such.

    Raises:
        InputError: the grids' directions differ.
    """
    along_i, along_j, along_k = _weights(source, target, axis_weights)
    planes: dict[int, NDArray[np.float32]] = {}
    for k in range(target.size[2]):
        begin, end = along_k.indptr[k], along_k.indptr[k + 1]
        needed = along_k.indices[begin:end]
        planes = {index: plane for index, plane in planes.items() if index >= needed[0]}
        blended: NDArray[np.float32] | None = None
        for index, weight in zip(needed.tolist(), along_k.data[begin:end], strict=True):
            if index not in planes:
                planes[index] = _resampled_in_plane(slice_of(index), along_j, along_i)
            share = weight * planes[index]
            blended = share if blended is None else np.add(blended, share, out=blended)
        assert blended is not None  # every row of weights sums to 1
        yield blended


def _weights(source: Geometry, target: Geometry, axis_weights: AxisWeights | None) -> list[csr_array]:
    """Those along the axes i, j and k; raises as `resampled_slices` does."""
    if not np.allclose(source.direction_matrix, target.direction_matrix, atol=1e-6):
        raise InputError("grids that differ in direction cannot be resampled into one another axis by axis")
    return [(axis_weights or averaging_weights)(source, target, axis) for axis in range(3)]


def _resampled_in_plane(plane: NDArray[np.generic], along_j: csr_array, along_i: csr_array) -> NDArray[np.float32]:
    """`plane` `(J, I)` or `(C, J, I)` with the new J and I."""
    if plane.ndim == 3:
        return np.stack([_resampled_in_plane(single, along_j, along_i) for single in plane])
    in_rows = along_j @ np.ascontiguousarray(plane, dtype=np.float32)  # (J_new, I)
    return np.ascontiguousarray((along_i @ np.ascontiguousarray(in_rows.T)).T)


def averaging_weights(source: Geometry, target: Geometry, axis: int) -> csr_array:
    """`(N_target, N_source)` float32 weights along index axis `axis`, rows summing to 1, column indices sorted."""
    count = source.size[axis]
    ratio = target.spacing_mm[axis] / source.spacing_mm[axis]
    first = source.lps_to_index(target.origin_mm)[axis]
    centers = first + ratio * np.arange(target.size[axis])  # (N,) in source voxels
    width = np.sqrt(max(0.0, ratio**2 - 1))
    offsets = np.arange(np.floor(-width / 2) - 1, np.ceil(width / 2) + 2)
    columns = np.floor(centers)[:, None] + offsets  # (N, M) source voxels that may have a share
    shares = _averaged_hat(columns - centers[:, None], width)
    columns = np.clip(columns, 0, count - 1)
    rows = np.broadcast_to(np.arange(target.size[axis])[:, None], columns.shape)
    used = shares > 0
    matrix = csr_array(
        (shares[used].astype(np.float32), (rows[used], columns[used].astype(np.int32))),
        shape=(target.size[axis], count),
    )
    matrix.sum_duplicates()
    return matrix


def _averaged_hat(distance: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Mean of the linear interpolation's hat function over a box of `width` around `distance`, in source voxels."""
    if width < 1e-6:
        return np.maximum(0.0, 1 - np.abs(distance))
    return (_hat_integral(distance + width / 2) - _hat_integral(distance - width / 2)) / width


def _hat_integral(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integral of max(0, 1 - |x|) from minus infinity."""
    x = np.clip(x, -1, 1)
    return 0.5 + x - 0.5 * x * np.abs(x)
