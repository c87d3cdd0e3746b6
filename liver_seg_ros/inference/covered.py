# SPDX-License-Identifier: Apache-2.0
"""Running a network over a part of a volume, as a stream: slices go in at one end, their scores come out at the other.

As `sliding`, with the windows of `covering`: slices are held from where a window begins until no later one needs them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.inference.covering import Window
from liver_seg_ros.inference.runtimes.base import Batch, Runtime
from liver_seg_ros.inference.sliding import ToScores, as_float

#: By how much the background, class 0, leads where no window was. Nothing there is asked about.
UNSEEN_LEAD = 1e4

#: Weight of a window's outermost voxels: where no other window is, they are divided by it.
_LEAST_WEIGHT = 1e-4

Planes = NDArray[np.float32]


def covered_slices(
    runtime: Runtime,
    slices: Iterable[Planes],
    shape: tuple[int, ...],
    windows: Sequence[Window],
    to_scores: ToScores = as_float,
    before_batch: Callable[[float], None] | None = None,
) -> Iterator[Planes]:
    """The network's scores, slice by slice: the windows' answers, averaged, and background where there is none.

    A window's weight grows with the distance from its border. Windows beyond the volume's end see its outermost voxels
    repeated.

    Args:
        runtime: the loaded network, of one input.
        slices: the K slices `(J, I)` at the network's spacing, as the bundle's `values` say, in canonical orientation;
            each is taken when it is needed, and those behind the last window not at all.
        shape: `(K, J, I)`.
        windows: at least one, in the order of their first slice.
        to_scores: what the network's output means.
        before_batch: called before each run of the network with the share of all voxels that were run; may raise to
            stop.

    Yields:
        `(C, J, I)` float32, K times.
    """
    batches = list(_alike(windows, runtime.largest_batch))
    all_voxels = sum(window.voxels for window in windows)
    held = _Held(iter(slices), shape)

    def cut_out() -> Iterator[Batch]:
        done = 0
        for batch in batches:
            if before_batch is not None:
                before_batch(done / all_voxels)
            held.forget_before(batch[0].start[0])
            yield np.stack([held.cut_out(window) for window in batch])[:, None]
            done += sum(window.voxels for window in batch)

    sums: deque[tuple[Planes, Planes]] = deque()  # of the slices from `first` on: scores (C, J, I), weights (J, I)
    first, classes = 0, 0
    for batch, answer in zip(batches, runtime.run_sequence(cut_out()), strict=True):
        for window, scores in zip(batch, to_scores(answer), strict=True):
            classes = len(scores)
            while first < window.start[0]:
                yield _average(*sums.popleft()) if sums else _unseen(classes, shape)
                first += 1
            _add(sums, first, shape, window, scores)
    while first < shape[0]:
        yield _average(*sums.popleft()) if sums else _unseen(classes, shape)
        first += 1


def _alike(windows: Sequence[Window], most: int) -> Iterator[list[Window]]:
    """The windows in order, at most `most` of one size together."""
    for _, group in groupby(windows, key=lambda window: window.size):
        alike = list(group)
        for n in range(0, len(alike), most):
            yield alike[n : n + most]


class _Held:
    """The slices that windows still need."""

    def __init__(self, slices: Iterator[Planes], shape: tuple[int, ...]) -> None:
        self._slices = slices
        self._shape = shape
        self._first = 0  # the number of the first that is held
        self._held: deque[Planes] = deque()

    def forget_before(self, k: int) -> None:
        while self._held and self._first < k:
            self._held.popleft()
            self._first += 1

    def cut_out(self, window: Window) -> Planes:
        """`(K, J, I)` of a window."""
        k, j, i = (_within(*axis) for axis in zip(window.start, window.size, self._shape, strict=True))
        while self._first + len(self._held) <= k[-1]:
            self._held.append(next(self._slices))
            if len(self._held) == 1 and self._first < k[0]:
                self._held.popleft()
                self._first += 1
        in_plane = np.ix_(j, i) if len(set(j)) < len(j) or len(set(i)) < len(i) else _span(j, i)
        return np.stack([self._held[n - self._first][in_plane] for n in k])


def _within(start: int, size: int, length: int) -> list[int]:
    """The voxels that a window sees along an axis; beyond its ends the outermost ones again."""
    return np.clip(np.arange(start, start + size), 0, length - 1).tolist()


def _span(j: list[int], i: list[int]) -> tuple[slice, slice]:
    return slice(j[0], j[-1] + 1), slice(i[0], i[-1] + 1)


def _add(
    sums: deque[tuple[Planes, Planes]],
    first: int,
    shape: tuple[int, ...],
    window: Window,
    scores: Planes,
) -> None:
    """Add a window's scores `(C, K, J, I)` to those of its slices; the first of `sums` is slice `first`."""
    inner = [
        slice(max(0, -a), min(n, length - a)) for a, n, length in zip(window.start, window.size, shape, strict=True)
    ]
    k, j, i = (_ramp(n)[part] for n, part in zip(window.size, inner, strict=True))
    in_plane = j[:, None] * i
    scores = scores[(slice(None), *inner)]
    begin = max(0, window.start[0])
    into = tuple(
        slice(max(0, a), max(0, a) + part.stop - part.start)
        for a, part in zip(window.start[1:], inner[1:], strict=True)
    )
    while len(sums) < begin + len(k) - first:
        sums.append((np.zeros((len(scores), *shape[1:]), np.float32), np.zeros(shape[1:], np.float32)))
    for n, weight in enumerate(k):
        total, weights = sums[begin + n - first]
        share = weight * in_plane
        total[(slice(None), *into)] += share * scores[:, n]
        weights[into] += share


def _ramp(size: int) -> Planes:
    """`(size,)`: voxels from the nearest end, where the network saw least; a little at the ends themselves."""
    to_border = np.minimum(np.arange(size), np.arange(size)[::-1])
    return np.maximum(to_border, _LEAST_WEIGHT).astype(np.float32)


def _average(total: Planes, weights: Planes) -> Planes:
    seen = weights > 0
    np.divide(total, weights, out=total, where=seen)
    total[0][~seen] = UNSEEN_LEAD
    return total


def _unseen(classes: int, shape: tuple[int, ...]) -> Planes:
    planes = np.zeros((classes, *shape[1:]), np.float32)
    planes[0] = UNSEEN_LEAD
    return planes
