# SPDX-License-Identifier: Apache-2.0
"""Running a network of slices over a volume, as a stream: slices go in at one end, their scores come out at the other.

A stack is as many slices as are run at once. In plane it is cut into windows as a volume is (`windows`), mostly one;
along k nothing is shared, as what a slice needs to see of its neighbors are its channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from math import ceil

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.inference.bundle import BundleSpec
from liver_seg_ros.inference.canny import canny_map
from liver_seg_ros.inference.input_spec import EDGES
from liver_seg_ros.inference.preprocessing import normalize
from liver_seg_ros.inference.runtimes.base import Batch, Runtime
from liver_seg_ros.inference.sliding import ToScores, padded_plane, padding
from liver_seg_ros.inference.windows import choose_windows

Planes = NDArray[np.float32]


def score_stacks(
    runtime: Runtime,
    slices: Iterable[Planes],
    shape: tuple[int, ...],
    spec: BundleSpec,
    to_scores: ToScores,
    before_batch: Callable[[float], None] | None = None,
) -> Iterator[Planes]:
    """The network's scores, slice by slice; in plane the windows' answers, averaged with Gaussian weights.

    A slice that is smaller than a window lies in its middle, as `sliding` has it; the neighbors of the first
    and the last slice are these slices again.

    Args:
        runtime: the loaded network.
        slices: the K slices `(J, I)` at the network's spacing, as the bundle's `values` say, in canonical orientation;
            each is taken when it is needed.
        shape: `(K, J, I)`.
        spec: that of the bundle, whose `input.slices` is true.
        to_scores: what the network's output means.
        before_batch: called before each run of the network with the share of all that was run; may raise to stop.

    Yields:
        `(C, J, I)` float32, K times.
    """
    windows = choose_windows((1, *shape[1:]), spec.input, runtime.largest_window)
    corners = list(product(windows.j.starts, windows.i.starts))
    in_plane = [padding(n, axis) for n, axis in zip(shape[1:], windows.axes[1:], strict=True)]
    j_inner, i_inner = (slice(before, before + n) for (before, _), n in zip(in_plane, shape[1:], strict=True))
    at_once = spec.input.patch[2]
    runs = ceil(shape[0] / at_once) * len(corners)
    weights = windows.j.weights[:, None] * windows.i.weights
    weight_sums = windows.j.weight_sums[:, None] * windows.i.weight_sums

    def cut_out() -> Iterator[Batch]:
        done = 0
        for stack in _stacks(slices, shape[0], spec, in_plane):
            for j, i in corners:
                if before_batch is not None:
                    before_batch(done / runs)
                window = (..., slice(j, j + windows.j.size), slice(i, i + windows.i.size))
                parts = [np.ascontiguousarray(array[window]) for array in stack]
                yield parts[0] if len(parts) == 1 else tuple(parts)
                done += 1

    answers = runtime.run_sequence(cut_out())
    for first in range(0, shape[0], at_once):
        count = min(at_once, shape[0] - first)
        scores: Planes | None = None  # (slices, C, length of j, length of i), made when the first answer tells C
        for j, i in corners:
            answer = to_scores(next(answers))  # (slices, C, J, I) of the window
            if scores is None:
                scores = np.zeros((*answer.shape[:2], windows.j.length, windows.i.length), np.float32)
            scores[..., j : j + windows.j.size, i : i + windows.i.size] += answer * weights
        assert scores is not None  # there is at least one window
        for n in range(count):
            yield scores[n, :, j_inner, i_inner] / weight_sums[j_inner, i_inner]


def _stacks(
    slices: Iterable[Planes], count: int, spec: BundleSpec, in_plane: list[tuple[int, int]]
) -> Iterator[list[Planes]]:
    """The inputs of one run after the other, each `(slices, channels, J, I)`, in plane with the padding."""
    neighbors = spec.input.neighbors
    padded = (padded_plane(plane, in_plane, spec.input.beyond) for plane in slices)
    planes = _repeated(padded, count, neighbors)
    held: list[Planes] = [next(planes) for _ in range(2 * neighbors)]
    for first in range(0, count, spec.input.patch[2]):
        held += [next(planes) for _ in range(min(spec.input.patch[2], count - first))]
        stack = np.stack(held)  # (slices + 2 n, J, I)
        windows = np.lib.stride_tricks.sliding_window_view(stack, 2 * neighbors + 1, axis=0)  # (slices, J, I, 2 n + 1)
        inputs: list[Planes] = [np.moveaxis(windows, -1, 1)]
        if EDGES in spec.input.inputs:
            middle = stack[neighbors : len(stack) - neighbors]
            if spec.values == "hu":
                middle = normalize(middle, spec.input.hu_window)
            inputs.append(canny_map(middle)[:, None])
        yield inputs
        held = held[len(held) - 2 * neighbors :]


def _repeated(planes: Iterable[Planes], count: int, neighbors: int) -> Iterator[Planes]:
    """`count` planes, the first and the last so many times more."""
    for k, plane in enumerate(planes):
        for _ in range(1 + (neighbors if k == 0 else 0) + (neighbors if k == count - 1 else 0)):
            yield plane
