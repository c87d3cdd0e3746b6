"""Running a network over a volume larger than one window, and blending what the windows say.

The windows of an axis all have one size: the smallest multiple of the network's divisor with which the fewest possible
windows cover the axis at the wanted overlap. So no voxel is run that need not be, and a volume that fits into one
window is padded to the divisor, not to the largest window.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.inference.bundle import InputSpec
from liver_seg_ros.inference.runtimes.base import Runtime
from liver_seg_ros.progress import Cancelled, Progress, never_cancelled, no_progress, raise_if_cancelled

#: Standard deviation of a window's Gaussian weight, as a fraction of the window's size; nnU-Net's choice.
_SIGMA_PER_SIZE = 1 / 8

#: Smallest weight, so that voxels that only a window's corner covers are still divided by a sound number.
_LEAST_WEIGHT = 1e-3


@dataclass(frozen=True)
class AxisWindows:
    """The windows along one axis.

    Attributes:
        size: voxels per window.
        starts: first voxel of each window, rising; the first is 0.
        length: voxels of the axis after padding; the last window ends there.
    """

    size: int
    starts: tuple[int, ...]
    length: int

    @property
    def weights(self) -> NDArray[np.float32]:
        """`(size,)` blending weight across a window; a lone window needs none and has 1 throughout."""
        if len(self.starts) == 1:
            return np.ones(self.size, np.float32)
        offsets = np.arange(self.size) - (self.size - 1) / 2
        bell = np.exp(-0.5 * (offsets / (self.size * _SIGMA_PER_SIZE)) ** 2)
        return np.maximum(bell, _LEAST_WEIGHT).astype(np.float32)

    @property
    def weight_sums(self) -> NDArray[np.float32]:
        """`(length,)` sum of all windows' weights at each voxel."""
        sums = np.zeros(self.length, np.float32)
        for start in self.starts:
            sums[start : start + self.size] += self.weights
        return sums


def axis_windows(length: int, patch: int, overlap: float, divisor: int) -> AxisWindows:
    """The windows that cover `length` voxels.

    Args:
        length: voxels to cover, at least 1.
        patch: largest window, a multiple of `divisor`.
        overlap: least fraction of a window shared with each neighbor, 0 to 0.9.
        divisor: window sizes are multiples of it.
    """
    if length <= patch:
        size = ceil(length / divisor) * divisor
        return AxisWindows(size, (0,), size)
    count = 1 + ceil((length - patch) / max(1, int(patch * (1 - overlap))))
    # With `count` windows of size s, strides of at most s * (1 - overlap) must reach the end.
    size = min(patch, ceil(length / (1 + (count - 1) * (1 - overlap)) / divisor) * divisor)
    starts = tuple(round(index * (length - size) / (count - 1)) for index in range(count))
    return AxisWindows(size, starts, length)


def run_windows(
    runtime: Runtime,
    values: NDArray[np.float32],
    spec: InputSpec,
    stage: str,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
) -> NDArray[np.float32]:
    """The network's logits for the whole of `values`.

    Windows beyond the volume's end see its outermost voxels repeated.

    Args:
        runtime: the loaded network.
        values: `(K, J, I)` float32 at the network's spacing, as the bundle's `values` say, in canonical orientation.
        spec: patch, overlap and divisor.
        stage: what `progress` and a cancellation call this work.

    Returns:
        `(C, K, J, I)` float32: the windows' logits, averaged with Gaussian weights.

    Raises:
        CancelledError: `cancelled()` was true before one of the windows.
    """
    i, j, k = (
        axis_windows(length, patch, spec.overlap, spec.divisor)
        for length, patch in zip(reversed(values.shape), spec.patch, strict=True)
    )
    padded = _pad_to(values, (k.length, j.length, i.length))
    weights = k.weights[:, None, None] * j.weights[:, None] * i.weights
    positions = list(product(k.starts, j.starts, i.starts))
    total: NDArray[np.float32] | None = None  # (C, K, J, I), made when the first window tells C
    for done, start in enumerate(positions):
        raise_if_cancelled(cancelled, stage)
        progress(stage, done / len(positions))
        window = tuple(slice(a, a + size) for a, size in zip(start, weights.shape, strict=True))
        answer = runtime.run(np.ascontiguousarray(padded[window])[None, None])[0]  # (C, k, j, i)
        logits = answer.astype(np.float32, copy=False)
        if total is None:
            total = np.zeros((logits.shape[0], *padded.shape), np.float32)
        logits *= weights
        total[(slice(None), *window)] += logits
    assert total is not None  # every axis has at least one window
    total /= k.weight_sums[:, None, None] * j.weight_sums[:, None] * i.weight_sums
    progress(stage, 1.0)
    before, after = _padding(values.shape, padded.shape)
    return total[(slice(None), *(slice(a, n - b) for a, b, n in zip(before, after, padded.shape, strict=True)))]


def _pad_to(values: NDArray[np.float32], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """`values` centered in `shape`, its outer voxels repeated."""
    before, after = _padding(values.shape, shape)
    return np.pad(values, list(zip(before, after, strict=True)), mode="edge")


def _padding(shape: tuple[int, ...], padded: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Voxels added before and after each axis."""
    missing = [wanted - has for wanted, has in zip(padded, shape, strict=True)]
    return [m // 2 for m in missing], [m - m // 2 for m in missing]
