# SPDX-License-Identifier: Apache-2.0
"""What a CT and its labels show at points in space: gray in a window of HU, structures tinted and outlined."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import STRUCTURES, Structure
from liver_seg_ros.volume import LabelVolume, Volume

#: Abdominal soft tissue.
WINDOW_HU = (-160.0, 240.0)

#: Share of a structure's own color inside its outline.
TINT = 0.28


def sampled_picture(
    volume: Volume,
    labels: LabelVolume | None,
    points_mm: NDArray[np.float64],
    window_hu: tuple[float, float] = WINDOW_HU,
) -> NDArray[np.uint8]:
    """`(height, width, 3)` uint8: the CT in the window, each structure tinted and outlined in its color.

    Outside of the CT it is black. Between voxels both are interpolated; a pixel is in a structure where half of what
    surrounds it is.

    Args:
        labels: on any grid; none where None.
        points_mm: `(height, width, 3)` LPS, the middle of each pixel.
        window_hu: what is black and what is white.
    """
    index = _index(volume.geometry, points_mm)
    outside = _outside(index, volume.geometry)
    low, high = window_hu
    hu = map_coordinates(volume.array, index, output=np.float32, order=1, mode="nearest")
    gray = ((hu - low) / (high - low)).clip(0, 1)
    gray[outside] = 0
    picture = np.repeat(gray[..., None], 3, axis=2) * 255
    if labels is not None:
        if labels.geometry != volume.geometry:
            index = _index(labels.geometry, points_mm)
            outside |= _outside(index, labels.geometry)
        for structure, inside in _insides(labels, index, outside):
            color = np.array(structure.color_rgb, dtype=float)
            picture[inside] = (1 - TINT) * picture[inside] + TINT * color
            picture[_outline(inside)] = color
    return np.round(picture).astype(np.uint8)


def _index(geometry: Geometry, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(3, height, width)` voxel indices `(k, j, i)`."""
    return np.moveaxis(geometry.lps_to_index(points_mm)[..., ::-1], -1, 0)


def _outside(index_kji: NDArray[np.float64], geometry: Geometry) -> NDArray[np.bool_]:
    last = np.array(geometry.shape).reshape(3, 1, 1) - 0.5
    return np.any((index_kji < -0.5) | (index_kji > last), axis=0)


def _insides(
    labels: LabelVolume, index_kji: NDArray[np.float64], outside: NDArray[np.bool_]
) -> Iterator[tuple[Structure, NDArray[np.bool_]]]:
    """Of each structure that a pixel touches, `(height, width)` bool: where it has half of the trilinear weights.

    Only the voxels around the pixels are looked at: a mask of the whole volume takes longer than all pictures of it.
    """
    last = np.array(labels.array.shape).reshape(3, 1, 1) - 1
    within = index_kji.clip(0, last)
    first = np.floor(within).astype(np.intp)
    second = np.minimum(first + 1, last)
    share = within - first
    ends = [((first[axis], 1 - share[axis]), (second[axis], share[axis])) for axis in range(3)]
    corners = [
        (labels.array[k, j, i], of_k * of_j * of_i)
        for k, of_k in ends[0] for j, of_j in ends[1] for i, of_i in ends[2]
    ]  # fmt: skip
    there = {int(value) for values, _ in corners for value in np.unique(values)}
    for structure in STRUCTURES:
        if structure.value in there:
            weight = sum(np.where(values == structure.value, weights, 0.0) for values, weights in corners)
            # A sum of eight shares that is one half may be less by its rounding.
            yield structure, (np.asarray(weight, np.float32) >= 0.5) & ~outside


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of `inside` that have a neighbor outside, above, below, left or right."""
    padded = np.pad(inside, 1)
    return inside & ~(padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2])
