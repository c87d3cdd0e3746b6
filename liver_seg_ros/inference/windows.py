# SPDX-License-Identifier: Apache-2.0
"""Which windows a network is run on, where a volume is larger than one.

All windows of an axis have one size, a multiple of the network's divisor, and neighbors share as many voxels as the
bundle's overlap is of its patch: what a network needs to see around a voxel is a length, not a fraction of a window. Of
all ways to cover a volume so, the one is taken that runs the fewest voxels, for on a CPU the time grows with their
number and with nothing else: with OpenVINO, windows from 64x64x64 to 32x256x256 voxels, alone or in pairs, all ran at
1.64 to 1.71 million voxels per second and core. So a window need not be a cube: one that spans the volume in two
directions shares nothing with neighbors there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.inference.bundle import InputSpec
from liver_seg_ros.inference.conventions import ALIKE, GAUSSIAN, MONAI, NNUNET, OWN, bell

#: Standard deviation of a window's Gaussian weight, as a fraction of the window's size; nnU-Net's choice.
_SIGMA_PER_SIZE = 1 / 8

#: Smallest weight, so that voxels that only a window's corner covers are still divided by a sound number.
_LEAST_WEIGHT = 1e-3

#: A window is at most so many times as long as the bundle's patch; a longer one would hold up the finished slices.
LONGEST = 2


@dataclass(frozen=True)
class AxisWindows:
    """The windows along one axis.

    Attributes:
        size: voxels per window.
        starts: first voxel of each window, rising; the first is 0.
        length: voxels of the axis after padding; the last window ends there.
        convention: whose windows they are, see `conventions`.
        blend: how they are averaged, see `conventions`.
    """

    size: int
    starts: tuple[int, ...]
    length: int
    convention: str = OWN
    blend: str = GAUSSIAN

    @property
    def weights(self) -> NDArray[np.float32]:
        """`(size,)` blending weight across a window; a lone window, and one of many alike, has 1 throughout."""
        if len(self.starts) == 1 or self.blend == ALIKE:
            return np.ones(self.size, np.float32)
        sigma = self.size * _SIGMA_PER_SIZE
        if self.convention == NNUNET:
            return bell(self.size // 2, self.size, sigma)
        return np.maximum(bell((self.size - 1) / 2, self.size, sigma), np.float32(_LEAST_WEIGHT))

    @property
    def weight_sums(self) -> NDArray[np.float32]:
        """`(length,)` sum of all windows' weights at each voxel."""
        sums = np.zeros(self.length, np.float32)
        for start in self.starts:
            sums[start : start + self.size] += self.weights
        return sums


@dataclass(frozen=True)
class Windows:
    """The windows of a volume, along each axis."""

    k: AxisWindows
    j: AxisWindows
    i: AxisWindows

    @property
    def axes(self) -> tuple[AxisWindows, AxisWindows, AxisWindows]:
        """In the order of an array's axes."""
        return self.k, self.j, self.i

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(K, J, I)` of one window."""
        return self.k.size, self.j.size, self.i.size

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.k.starts) * len(self.j.starts) * len(self.i.starts)

    @property
    def voxels(self) -> int:
        """How many voxels are run in all."""
        return _voxels(self.axes)


def axis_windows(length: int, size: int, shared: int) -> AxisWindows:
    """The fewest windows of `size` that cover `length` voxels, spread evenly; one, and the axis padded, if it suffices.

    Args:
        length: voxels to cover, at least 1.
        size: voxels per window, more than `shared`.
        shared: least number of voxels that a window shares with each neighbor.
    """
    if size >= length:
        return AxisWindows(size, (0,), size)
    count = ceil((length - shared) / (size - shared))
    starts = tuple(index * (length - size) // (count - 1) for index in range(count))
    return AxisWindows(size, starts, length)


def nnunet_windows(length: int, size: int, overlap: float, blend: str = GAUSSIAN) -> AxisWindows:
    """The windows that nnU-Net's predictor takes: spread evenly, with steps of at most `1 - overlap` of their size."""
    if size >= length:
        return AxisWindows(size, (0,), size, NNUNET, blend)
    count = ceil((length - size) / (size * (1 - overlap))) + 1
    starts = tuple(round(index * ((length - size) / (count - 1))) for index in range(count))
    return AxisWindows(size, starts, length, NNUNET, blend)


def monai_windows(length: int, size: int, overlap: float, blend: str = ALIKE) -> AxisWindows:
    """The windows that MONAI's `sliding_window_inference` takes: a fixed step apart, the last one moved back."""
    if size >= length:
        return AxisWindows(size, (0,), size, MONAI, blend)
    step = max(1, int(size * (1 - overlap)))
    count = ceil((length - size) / step) + 1
    starts = tuple(min(index * step, length - size) for index in range(count))
    return AxisWindows(size, starts, length, MONAI, blend)


_FOREIGN = {NNUNET: nnunet_windows, MONAI: monai_windows}


def choose_windows(shape: tuple[int, ...], spec: InputSpec, largest: tuple[int, int, int] | None = None) -> Windows:
    """The windows that cover `shape` `(K, J, I)` with the fewest voxels run; of those that run as many, the fewest.

    Args:
        shape: of the volume at the network's spacing.
        spec: the bundle's patch, overlap and divisor. A window has at most as many voxels as the patch, and so needs no
            more memory, but may have other sides, unless its windows are fixed. Of slices K is 1, and a window is one
            slice thick.
        largest: `(K, J, I)` that the runtime can take, each at least the patch's; None where it is not bound.
    """
    i, j, k = spec.patch
    patch = (1 if spec.slices else k, j, i)
    shared = [int(spec.overlap * side) for side in patch]
    if spec.convention in _FOREIGN:
        foreign = _FOREIGN[spec.convention]
        return Windows(*(foreign(n, size, spec.overlap, spec.blend) for n, size in zip(shape, patch, strict=True)))
    if spec.fixed_window:
        return Windows(*(axis_windows(*axis) for axis in zip(shape, patch, shared, strict=True)))
    limits = largest or tuple(LONGEST * side for side in patch)
    options = [_axis_options(*axis) for axis in zip(shape, shared, limits, spec.least_window, strict=True)]
    budget = prod(patch)
    fitting = ((k, j, i) for k, j, i in product(*options) if k.size * j.size * i.size <= budget)
    return Windows(*min(fitting, key=lambda axes: (_voxels(axes), prod(len(axis.starts) for axis in axes))))


def _voxels(axes: tuple[AxisWindows, AxisWindows, AxisWindows]) -> int:
    k, j, i = axes
    return k.size * len(k.starts) * j.size * len(j.starts) * i.size * len(i.starts)


def _axis_options(length: int, shared: int, limit: int, divisor: int) -> list[AxisWindows]:
    """All sizes that windows along an axis may have; one that covers all of `length`, if allowed, is the last."""
    whole = ceil(length / divisor) * divisor
    shortest = (shared // divisor + 1) * divisor  # that shares less than all of itself
    sizes = [*range(shortest, min(whole, limit + 1), divisor), *([whole] if whole <= limit else [])]
    return [axis_windows(length, size, shared) for size in sizes]
