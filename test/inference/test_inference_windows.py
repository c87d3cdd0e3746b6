# SPDX-License-Identifier: Apache-2.0
"""Which windows: they cover everything with the overlap asked for, and no other choice runs fewer voxels."""

from __future__ import annotations

from itertools import product
from math import ceil

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from liver_seg_ros.inference.bundle import InputSpec
from liver_seg_ros.inference.windows import AxisWindows, axis_windows, choose_windows


def spec(patch: tuple[int, int, int], overlap: float, divisor: int) -> InputSpec:
    return InputSpec((1.0, 1.0, 1.0), (-200.0, 300.0), patch, overlap, divisor)


def check_covers(windows: AxisWindows, length: int, shared: int, divisor: int) -> None:
    assert windows.size % divisor == 0
    assert windows.starts[0] == 0 and windows.starts[-1] + windows.size == windows.length >= length
    assert windows.weight_sums.min() > 0
    if len(windows.starts) > 1:
        assert windows.length == length  # only what fits into one window is padded
        assert windows.size - np.diff(windows.starts).max() >= shared
    else:
        assert windows.length < length + divisor or windows.length == windows.size


@given(length=st.integers(1, 500), size=st.integers(1, 200), shared=st.integers(0, 100))
def test_windows_cover_an_axis_with_the_overlap_asked_for(length: int, size: int, shared: int) -> None:
    shared = min(shared, size - 1)
    windows = axis_windows(length, size, shared)
    check_covers(windows, length, shared, 1)
    fewer = len(windows.starts) - 1  # do not reach the end
    assert fewer == 0 or fewer * (size - shared) + shared < length


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 150)] * 3),
    units=st.tuples(*[st.integers(1, 5)] * 3),
    overlap=st.floats(0, 0.75),
    divisor=st.sampled_from([4, 8]),
    bound=st.booleans(),
)
def test_no_other_windows_run_fewer_voxels(
    shape: tuple[int, int, int], units: tuple[int, int, int], overlap: float, divisor: int, bound: bool
) -> None:
    patch = tuple(4 * unit * divisor for unit in units)
    i, j, k = patch
    chosen = choose_windows(shape, spec((i, j, k), overlap, divisor), (k, j, i) if bound else None)
    assert np.prod(chosen.shape) <= i * j * k
    limits = [side if bound else 2 * side for side in (k, j, i)]
    shared = [int(overlap * side) for side in (k, j, i)]
    for axis, length, least, limit in zip(chosen.axes, shape, shared, limits, strict=True):
        check_covers(axis, length, least, divisor)
        assert axis.size <= limit

    def cost(length: int, least: int, size: int) -> int:
        """Voxels along one axis, by another formula: windows are added until the end is reached."""
        reached, count = size, 1
        while reached < length:
            reached, count = reached + size - least, count + 1
        return size * count

    costs = [
        {
            size: cost(length, least, size)
            for size in range(divisor, limit + 1, divisor)
            if size > least or size >= length
        }
        for length, least, limit in zip(shape, shared, limits, strict=True)
    ]
    best = min(costs[0][a] * costs[1][b] * costs[2][c] for a, b, c in product(*costs) if a * b * c <= i * j * k)
    assert chosen.voxels == best


def test_a_volume_that_fits_is_padded_to_the_divisor_only() -> None:
    windows = choose_windows((10, 20, 33), spec((96, 96, 96), 0.5, 8))
    assert windows.shape == (16, 24, 40) and windows.count == 1


def test_windows_are_not_cubes_where_that_saves_voxels() -> None:
    """A liver of usual size at 1.5 mm: slabs, and not blocks that share much."""
    shipped = spec((128, 128, 128), 0.25, 8)
    free, cubes = (choose_windows((136, 149, 160), shipped, largest) for largest in (None, (128, 128, 128)))
    assert free.count <= 3 and cubes.count == 8
    assert free.voxels < 0.7 * cubes.voxels


def test_finished_slices_do_not_wait_for_the_end_of_a_long_volume() -> None:
    windows = choose_windows((2000, 40, 40), spec((64, 64, 64), 0.25, 8))
    assert windows.k.size <= 128


def test_what_windows_share_is_a_length_and_not_a_fraction_of_a_window() -> None:
    windows = choose_windows((130, 64, 64), spec((128, 128, 128), 0.25, 8), (128, 128, 128))
    overlap = windows.k.size - int(np.diff(windows.k.starts).max())
    assert windows.k.size == 8 * ceil((130 + 32) / 2 / 8) and overlap >= 32
