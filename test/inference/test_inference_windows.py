"""Sliding windows: they cover everything, cost little, and blend into what one large window would say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liver_seg_ros.errors import CancelledError
from liver_seg_ros.inference.bundle import InputSpec, ModelBundle
from liver_seg_ros.inference.runtimes.registry import create_runtime
from liver_seg_ros.inference.windows import axis_windows, run_windows

WINDOW_HU = (-200.0, 300.0)


@settings(max_examples=200, deadline=None)
@given(
    length=st.integers(1, 400),
    patch_units=st.integers(1, 20),
    overlap=st.floats(0, 0.9),
    divisor=st.sampled_from([1, 4, 8, 16]),
)
def test_windows_cover_an_axis_with_the_overlap_asked_for(
    length: int, patch_units: int, overlap: float, divisor: int
) -> None:
    patch = patch_units * divisor
    windows = axis_windows(length, patch, overlap, divisor)
    assert windows.size <= patch and windows.size % divisor == 0
    assert windows.starts[0] == 0 and windows.starts[-1] + windows.size == windows.length >= length
    assert windows.weight_sums.min() > 0
    strides = np.diff(windows.starts)
    if strides.size:
        assert windows.length == length  # only what fits into one window is padded
        assert strides.max() <= max(1, windows.size * (1 - overlap)) + 1  # + 1: whole voxels
    else:
        assert windows.length < length + divisor


def test_no_voxel_is_run_that_need_not_be() -> None:
    assert axis_windows(10, 96, 0.5, 8).size == 16
    two = axis_windows(100, 96, 0.25, 8)
    assert (two.size, two.starts) == (64, (0, 36))  # and not two windows of 96
    assert len(axis_windows(96, 96, 0.9, 8).starts) == 1


@pytest.mark.parametrize("shape", [(21, 34, 45), (3, 64, 10), (16, 16, 16), (1, 1, 1)])
def test_windows_of_a_pointwise_network_equal_one_large_window(
    make_segmenter_bundle: Callable[..., ModelBundle], shape: tuple[int, int, int]
) -> None:
    values = np.random.default_rng(4).uniform(-1, 1, shape).astype(np.float32)
    runtime = create_runtime("auto", make_segmenter_bundle())
    blended = run_windows(runtime, values, InputSpec((1, 1, 1), WINDOW_HU, (16, 16, 16), 0.4, 4), "segment")
    at_once = runtime.run(values[None, None])[0]
    assert blended.shape == (4, *shape)
    np.testing.assert_allclose(blended, at_once, atol=1e-4)


def test_window_borders_leave_no_trace_of_a_network_that_looks_around(
    make_segmenter_bundle: Callable[..., ModelBundle], asymmetric_kernel: np.ndarray
) -> None:
    """Zero padding disturbs the outermost voxels of each window; blending must all but hide it."""
    values = np.full((40, 40, 40), 0.5, np.float32)
    runtime = create_runtime("auto", make_segmenter_bundle(asymmetric_kernel))
    logits = run_windows(runtime, values, InputSpec((1, 1, 1), WINDOW_HU, (24, 24, 24), 0.5, 4), "segment")
    inner = logits[:, 1:-1, 1:-1, 1:-1]
    assert np.ptp(inner, axis=(1, 2, 3)).max() < 0.05


def test_a_padded_volume_lies_in_the_middle_of_its_window(
    make_segmenter_bundle: Callable[..., ModelBundle], asymmetric_kernel: np.ndarray
) -> None:
    """6 voxels in a window of 8: one repeated voxel on either side keeps the zeros of a 3x3x3 filter away."""
    runtime = create_runtime("auto", make_segmenter_bundle(asymmetric_kernel))
    constant = np.full((6, 6, 6), 0.5, np.float32)
    logits = run_windows(runtime, constant, InputSpec((1, 1, 1), WINDOW_HU, (16, 16, 16), 0.5, 4), "segment")
    np.testing.assert_allclose(logits, logits[:, :1, :1, :1] + np.zeros((1, 6, 6, 6)), atol=1e-5)


def test_asks_before_each_window_whether_to_go_on(make_segmenter_bundle: Callable[..., ModelBundle]) -> None:
    values = np.zeros((32, 32, 32), np.float32)
    fractions: list[float] = []
    with pytest.raises(CancelledError, match="during segment"):
        run_windows(
            create_runtime("auto", make_segmenter_bundle()),
            values,
            InputSpec((1, 1, 1), WINDOW_HU, (16, 16, 16), 0.0, 4),
            "segment",
            lambda _, fraction: fractions.append(fraction),
            lambda: len(fractions) == 3,
        )
    assert fractions == [0, 1 / 8, 2 / 8]
