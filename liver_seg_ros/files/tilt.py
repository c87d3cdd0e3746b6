# SPDX-License-Identifier: Apache-2.0
"""Straightening a CT that was taken with a tilted gantry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liver_seg_ros.geometry import Geometry

AIR_HU = -1024


def straighten(
    array: NDArray[np.int16], geometry: Geometry, drift_mm: tuple[float, float]
) -> tuple[NDArray[np.int16], Geometry]:
    """The same CT on a grid at right angles, where a tilted gantry shifted each slice against the one before.

    Slices stay where they are along the normal and are moved within their planes, with linear interpolation. The grid
    grows so that every slice fits in; what no slice covers is air. Without drift everything comes back as it is.

    Args:
        array: `(K, J, I)` HU; slice `k` lies `k * drift_mm` beside its place on `geometry`.
        geometry: the grid whose slice 0 is the first slice.
        drift_mm: shift per slice along `(i, j)`.
    """
    if drift_mm == (0.0, 0.0):
        return array, geometry
    last = geometry.size[2] - 1
    per_slice = np.array(drift_mm) / geometry.spacing_mm[:2]  # voxels along (i, j)
    before = (
        np.ceil(np.maximum(0.0, -per_slice * last)).astype(int).tolist()
    )  # new voxels in front of the old first one
    behind = np.ceil(np.maximum(0.0, per_slice * last)).astype(int).tolist()
    grown = geometry.padded((before[0], before[1], 0), (behind[0], behind[1], 0))
    straight = np.empty(grown.shape, np.int16)
    padding = ((before[1], behind[1]), (before[0], behind[0]))  # rows (j), columns (i)
    for index, (target, part) in enumerate(zip(straight, array, strict=True)):
        shift_j, shift_i = (per_slice * index)[::-1]
        framed = np.pad(part.astype(np.float32), padding, constant_values=AIR_HU)
        target[...] = np.rint(ndimage.shift(framed, (shift_j, shift_i), order=1, mode="constant", cval=AIR_HU))
    return straight, grown
