# SPDX-License-Identifier: Apache-2.0
"""Running a network over a volume window by window, as a stream: slices go in at one end, scores come out at the other.

Along k only as many slices are held as a window is thick, so the memory does not grow with the length of the CT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product, repeat

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.inference.bundle import InputSpec
from liver_seg_ros.inference.runtimes.base import Batch, Runtime
from liver_seg_ros.inference.windows import AxisWindows, Windows, choose_windows

#: From a runtime's answer `(B, ...)` to `(B, C, K, J, I)` float32, of which the largest wins; may work in place.
ToScores = Callable[[NDArray[np.generic]], NDArray[np.float32]]


def as_float(answer: NDArray[np.generic]) -> NDArray[np.float32]:
    """Logits are scores already."""
    return answer.astype(np.float32, copy=False)


def score_slices(
    runtime: Runtime,
    slices: Iterable[NDArray[np.float32]],
    shape: tuple[int, ...],
    spec: InputSpec,
    to_scores: ToScores = as_float,
    before_batch: Callable[[float], None] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """The network's scores, slice by slice: the windows' answers, averaged with Gaussian weights.

    Windows beyond the volume's end see its outermost voxels repeated, or what the bundle says.

    Args:
        runtime: the loaded network.
        slices: the K slices `(J, I)` at the network's spacing, as the bundle's `values` say, in canonical orientation;
            each is taken when it is needed. For a network of several inputs `(N, J, I)`.
        shape: `(K, J, I)`.
        spec: patch, overlap and divisor.
        to_scores: what the network's output means.
        before_batch: called before each run of the network with the share of all windows that were run; may raise to
            stop.

    Yields:
        `(C, J, I)` float32, K times.
    """
    windows = choose_windows(shape, spec, runtime.largest_window)
    if windows.count == 1:
        yield from _scores_of_one(runtime, slices, shape, windows, spec, to_scores, before_batch)
        return
    (k_before, _), *in_plane = (padding(n, axis) for n, axis in zip(shape, windows.axes, strict=True))
    planes = _padded(slices, shape[0], windows.k.length, k_before, in_plane, spec.beyond)
    (j_before, _), (i_before, _) = in_plane
    inner = (slice(None), slice(j_before, j_before + shape[1]), slice(i_before, i_before + shape[2]))

    corners = list(product(windows.j.starts, windows.i.starts))
    batches = [corners[n : n + runtime.largest_batch] for n in range(0, len(corners), runtime.largest_batch)]
    weights = windows.k.weights[:, None, None] * windows.j.weights[:, None] * windows.i.weights
    sums_in_plane = windows.j.weight_sums[:, None] * windows.i.weight_sums
    depth = windows.k.size
    values = np.empty((depth, len(spec.inputs), windows.j.length, windows.i.length), np.float32)
    scores: NDArray[np.float32] | None = None  # (C, K, J, I) as `values`, made when the first answer tells C

    def cut_out(row: int) -> Iterator[Batch]:
        for number, batch in enumerate(batches):
            if before_batch is not None:
                before_batch((row * len(corners) + number * runtime.largest_batch) / windows.count)
            cut = np.stack([values[..., j : j + windows.j.size, i : i + windows.i.size] for j, i in batch])
            parts = tuple(np.ascontiguousarray(cut[:, None, :, n]) for n in range(len(spec.inputs)))
            yield parts if len(parts) > 1 else parts[0]

    held = 0  # slices in `values`, of which the first are those that the row before shares with this one
    for row, start in enumerate(windows.k.starts):
        for plane in range(held, depth):
            values[plane] = next(planes)
        for batch, answer in zip(batches, runtime.run_sequence(cut_out(row)), strict=True):
            for (j, i), window in zip(batch, to_scores(answer), strict=True):
                if scores is None:
                    scores = np.zeros((len(window), depth, *values.shape[2:]), np.float32)
                window *= weights
                scores[:, :, j : j + windows.j.size, i : i + windows.i.size] += window
        assert scores is not None  # there is at least one window
        end = windows.k.starts[row + 1] if row + 1 < len(windows.k.starts) else windows.k.length
        finished, held = end - start, depth - (end - start)
        for plane in range(finished):
            if k_before <= start + plane < k_before + shape[0]:
                yield scores[:, plane][inner] / (windows.k.weight_sums[start + plane] * sums_in_plane[inner[1:]])
        for array in (values, scores.swapaxes(0, 1)):  # both (k, ...)
            array[:held] = array[finished:]
        scores[:, held:] = 0


def _scores_of_one(
    runtime: Runtime,
    slices: Iterable[NDArray[np.float32]],
    shape: tuple[int, ...],
    windows: Windows,
    spec: InputSpec,
    to_scores: ToScores,
    before_batch: Callable[[float], None] | None,
) -> Iterator[NDArray[np.float32]]:
    """`score_slices` where one window covers all: its answer needs no weights, no sums, and no memory but its own."""
    (k_before, _), *in_plane = (padding(n, axis) for n, axis in zip(shape, windows.axes, strict=True))
    values = np.empty((len(spec.inputs), *windows.shape), np.float32)
    for k, plane in enumerate(_padded(slices, shape[0], windows.k.length, k_before, in_plane, spec.beyond)):
        values[:, k] = plane
    if before_batch is not None:
        before_batch(0.0)
    parts = tuple(one[None, None] for one in values)
    for answer in runtime.run_sequence([parts if len(parts) > 1 else parts[0]]):
        (scores,) = to_scores(answer)
        (j_before, _), (i_before, _) = in_plane
        inner = (slice(None), slice(j_before, j_before + shape[1]), slice(i_before, i_before + shape[2]))
        for k in range(k_before, k_before + shape[0]):
            yield scores[:, k][inner].copy()  # the runtime's memory is its own


def run_windows(
    runtime: Runtime, values: NDArray[np.float32], spec: InputSpec, to_scores: ToScores = as_float
) -> NDArray[np.float32]:
    """The network's scores `(C, K, J, I)` for the whole of `values` `(K, J, I)`; see `score_slices`."""
    return np.stack(list(score_slices(runtime, values, values.shape, spec, to_scores)), axis=1)


def _padded(
    slices: Iterable[NDArray[np.float32]],
    count: int,
    length: int,
    before: int,
    in_plane: list[tuple[int, int]],
    beyond: float | None,
) -> Iterator[NDArray[np.float32]]:
    """`count` slices as `length` of them; the volume lies in the middle of its padding, see `padded_plane`."""
    for k, plane in enumerate(slices):
        padded = padded_plane(plane, in_plane, beyond)
        copies = 1 + (before if k == 0 else 0) + (length - count - before if k == count - 1 else 0)
        if beyond is None or copies == 1:
            yield from repeat(padded, copies)
            continue
        outside = np.zeros_like(padded)
        outside[: 1 if plane.ndim > 2 else None] = beyond
        yield from repeat(outside, before if k == 0 else 0)
        yield padded
        yield from repeat(outside, copies - 1 - (before if k == 0 else 0))


def padded_plane(
    plane: NDArray[np.float32], in_plane: list[tuple[int, int]], beyond: float | None
) -> NDArray[np.float32]:
    """A plane `(J, I)` with so many voxels more before and after its axes, all `beyond`, or the outermost repeated.

    Of `(N, J, I)` only the first, the CT, has `beyond`, and the others have 0: what was found there is background.
    """
    if beyond is None:
        return np.pad(plane, [(0, 0)] * (plane.ndim - 2) + in_plane, mode="edge")
    if plane.ndim == 2:
        return np.pad(plane, in_plane, constant_values=beyond)
    return np.stack([np.pad(one, in_plane, constant_values=0 if n else beyond) for n, one in enumerate(plane)])


def padding(count: int, axis: AxisWindows) -> tuple[int, int]:
    """Voxels added before and after an axis of `count` voxels."""
    missing = axis.length - count
    return missing // 2, missing - missing // 2
