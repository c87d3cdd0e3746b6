# SPDX-License-Identifier: Apache-2.0
"""Is this a CT in Hounsfield units and millimetres, or labels of one? Wrong exports read well and end as nonsense.

Every limit below is far from what CTs of the abdomen hold, also when cropped to a part of the liver: a false alarm on
a good file would be worse than a late one on a bad file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.volume import LabelVolume, Volume

SPACING_MM = (0.05, 20.0)
EXTENT_MM = (20.0, 3000.0)  # of the longest edge: from a small crop to more than a whole body
ACROSS_MM = 1500.0  # of the second longest: twice the widest field of view
FEWEST_SLICES = 2

AIR_HU = -1100  # below lies only padding, as scanners put outside the field of view
SOFT_TISSUE_HU = (-200, 300)
WATER_STORED = (850, 1250)  # where soft tissue lies when 1000 or 1024 were not subtracted
DENSEST_BONE_HU = 3100
SAMPLES_PER_AXIS = 128

MOST_LABELS = 250  # different values; TotalSegmentator has 117
LIKE_NEIGHBOR = 0.9  # of the voxels; the noise of a CT leaves fewer


def check_ct(volume: Volume, where: str) -> None:
    """Raise `InputError` where `volume` cannot be a CT in HU and mm, saying what is wrong and what to do.

    Args:
        volume: the CT to judge.
        where: the file or topic that it came from; starts the message.
    """
    check_grid(volume.geometry, where)
    array = volume.array
    low, high = int(array.min()), int(array.max())
    if low == high:
        raise InputError(f"{where}: all voxels are {low} HU; this is no CT. Check the export or give another file.")
    if high - low < 20:
        raise InputError(
            f"{where}: all voxels are between {low} and {high}; this is a label file or a CT scaled to 0..1. "
            "Give a CT in HU."
        )
    if (low, high) == (0, 255):
        raise InputError(f"{where}: values from 0 to 255 are a windowed 8-bit picture. Export the CT in HU instead.")
    if low >= 0 and _is_patchwork(array):
        raise InputError(f"{where}: even patches of values from {low} to {high} are a label file. Give a CT in HU.")
    _check_distribution(_sample(array), where)


def check_labels(labels: LabelVolume, where: str) -> None:
    """Raise `InputError` where `labels` cannot be those of a CT: its slices and millimetres are asked for.

    Args:
        labels: the labels to judge.
        where: the file or topic that they came from; starts the message.
    """
    check_grid(labels.geometry, where)


def check_grid(geometry: Geometry, where: str) -> None:
    """The same of a grid alone: whether its slices and millimetres can be a CT's."""
    size = "x".join(str(n) for n in geometry.size)
    if min(geometry.size) < FEWEST_SLICES:
        raise InputError(f"{where}: holds one slice ({size} voxels). Give a whole series.")
    spacing = "x".join(f"{s:.4g}" for s in geometry.spacing_mm)
    if not SPACING_MM[0] <= min(geometry.spacing_mm) <= max(geometry.spacing_mm) <= SPACING_MM[1]:
        unit = "in metres" if max(geometry.spacing_mm) < SPACING_MM[0] else "not in mm"
        raise InputError(f"{where}: voxels of {spacing} mm; the spacing is {unit}. Correct the file's spacing.")
    _, across_mm, longest_mm = sorted(geometry.extent_mm)
    if not EXTENT_MM[0] <= longest_mm <= EXTENT_MM[1] or across_mm > ACROSS_MM:
        extent = "x".join(f"{e:.4g}" for e in geometry.extent_mm)
        raise InputError(f"{where}: the volume measures {extent} mm; no patient does. Correct the file's spacing.")


def _is_patchwork(array: NDArray[np.int16]) -> bool:
    """Whether `array` `(K, J, I)`, nowhere negative, looks like labels: few values, mostly the same as beside them."""
    there = np.zeros(int(array.max()) + 1, bool)
    same = 0
    for part in array:  # slice by slice: bincount widens to 8 bytes per voxel
        there |= np.bincount(part.reshape(-1), minlength=there.size) > 0
        same += int(np.count_nonzero(part[:, 1:] == part[:, :-1]))
    return bool(there.sum() <= MOST_LABELS and same > LIKE_NEIGHBOR * array.size)


def _check_distribution(sample: NDArray[np.int16], where: str) -> None:
    measured = sample[sample >= AIR_HU]
    if measured.size == 0 or np.mean(measured > SOFT_TISSUE_HU[0]) < 0.001:
        raise InputError(
            f"{where}: nothing in it is denser than {SOFT_TISSUE_HU[0]} HU; no body is in view or the rescale "
            "intercept was subtracted twice. Export the CT in HU."
        )
    at_stored_water = _share(measured, *WATER_STORED)
    if at_stored_water > 0.1 and at_stored_water > _share(measured, *SOFT_TISSUE_HU):
        raise InputError(
            f"{where}: soft tissue lies near 1000, not 0; the rescale intercept was not applied. Export the CT in HU."
        )
    if np.mean(measured > DENSEST_BONE_HU) > 0.2:
        raise InputError(
            f"{where}: {np.mean(measured > DENSEST_BONE_HU):.0%} of the voxels are above {DENSEST_BONE_HU} HU, denser "
            "than bone; this is not in HU. Export the CT in HU."
        )


def _share(values: NDArray[np.int16], low: int, high: int) -> float:
    return float(np.mean((values >= low) & (values <= high)))


def _sample(array: NDArray[np.int16]) -> NDArray[np.int16]:
    """At most about 2 million voxels on a regular lattice: enough for shares of the whole."""
    k, j, i = (slice(None, None, max(1, n // SAMPLES_PER_AXIS)) for n in array.shape)
    return array[k, j, i]
