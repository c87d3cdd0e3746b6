# SPDX-License-Identifier: Apache-2.0
"""Sliding windows: they blend into what one large window would say, and slices flow through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from liver_seg_ros.inference.bundle import InputSpec, ModelBundle
from liver_seg_ros.inference.runtimes.base import Runtime
from liver_seg_ros.inference.runtimes.choice import create_runtime
from liver_seg_ros.inference.sliding import run_windows, score_slices
from liver_seg_ros.inference.windows import choose_windows

MakeBundle = Callable[..., ModelBundle]


def spec(side: int, overlap: float) -> InputSpec:
    return InputSpec((1.0, 1.0, 1.0), (-200.0, 300.0), (side, side, side), overlap, 4)


class Batched:
    """A runtime that is asked for several windows at once, and says how many it got."""

    largest_window = None
    largest_batch = 3

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.sizes: list[int] = []

    def run_sequence(self, batches: Iterator[NDArray[np.floating]]) -> Iterator[NDArray[np.generic]]:
        for batch in batches:
            self.sizes.append(len(batch))
            yield self.runtime.run(batch)


@pytest.mark.parametrize("shape", [(21, 34, 45), (3, 64, 10), (70, 16, 16), (1, 1, 1)])
def test_windows_of_a_pointwise_network_equal_one_large_window(
    make_segmenter_bundle: MakeBundle, shape: tuple[int, int, int]
) -> None:
    values = np.random.default_rng(4).uniform(-1, 1, shape).astype(np.float32)
    runtime = create_runtime("auto", make_segmenter_bundle())
    blended = run_windows(runtime, values, spec(16, 0.4))
    at_once = runtime.run(values[None, None])[0]
    assert blended.shape == (4, *shape)
    np.testing.assert_allclose(blended, at_once, atol=1e-4)


def test_window_borders_leave_no_trace_of_a_network_that_looks_around(
    make_segmenter_bundle: MakeBundle, asymmetric_kernel: np.ndarray
) -> None:
    """Zero padding disturbs the outermost voxels of each window; blending must all but hide it."""
    values = np.full((40, 40, 40), 0.5, np.float32)
    runtime = create_runtime("auto", make_segmenter_bundle(asymmetric_kernel))
    assert choose_windows(values.shape, spec(24, 0.5)).count > 1
    logits = run_windows(runtime, values, spec(24, 0.5))
    inner = logits[:, 1:-1, 1:-1, 1:-1]
    assert np.ptp(inner, axis=(1, 2, 3)).max() < 0.05


def test_a_padded_volume_lies_in_the_middle_of_its_window(
    make_segmenter_bundle: MakeBundle, asymmetric_kernel: np.ndarray
) -> None:
    """6 voxels in a window of 8: one repeated voxel on either side keeps the zeros of a 3x3x3 filter away."""
    runtime = create_runtime("auto", make_segmenter_bundle(asymmetric_kernel))
    constant = np.full((6, 6, 6), 0.5, np.float32)
    logits = run_windows(runtime, constant, spec(16, 0.5))
    np.testing.assert_allclose(logits, logits[:, :1, :1, :1] + np.zeros((1, 6, 6, 6)), atol=1e-5)


def test_batches_change_nothing(make_segmenter_bundle: MakeBundle, asymmetric_kernel: np.ndarray) -> None:
    values = np.random.default_rng(5).uniform(-1, 1, (20, 44, 60)).astype(np.float32)
    runtime = create_runtime("onnxruntime", make_segmenter_bundle(asymmetric_kernel))
    batched = Batched(runtime)
    found = run_windows(batched, values, spec(16, 0.25))  # type: ignore[arg-type]
    np.testing.assert_allclose(found, run_windows(runtime, values, spec(16, 0.25)), atol=1e-5)
    assert max(batched.sizes) == 3 and sum(batched.sizes) == choose_windows(values.shape, spec(16, 0.25)).count


def test_slices_are_taken_as_windows_need_them_and_given_as_they_are_finished(
    make_segmenter_bundle: MakeBundle,
) -> None:
    """So of a long volume only as many slices are held as a window is thick."""
    taken = 0

    def slices() -> Iterator[NDArray[np.float32]]:
        nonlocal taken
        for _ in range(200):
            taken += 1
            yield np.zeros((16, 16), np.float32)

    depth = choose_windows((200, 16, 16), spec(16, 0.25)).k.size
    runtime = create_runtime("auto", make_segmenter_bundle())
    for given, _ in enumerate(score_slices(runtime, slices(), (200, 16, 16), spec(16, 0.25))):
        assert taken <= given + depth
    assert given == 199 and depth < 40


def test_says_before_each_run_how_far_it_is(make_segmenter_bundle: MakeBundle) -> None:
    fractions: list[float] = []
    values = np.zeros((16, 40, 40), np.float32)
    runtime = create_runtime("auto", make_segmenter_bundle())
    list(score_slices(runtime, values, values.shape, spec(16, 0.25), before_batch=fractions.append))
    count = choose_windows(values.shape, spec(16, 0.25)).count
    assert count > 3
    np.testing.assert_allclose(fractions, np.arange(count) / count)
