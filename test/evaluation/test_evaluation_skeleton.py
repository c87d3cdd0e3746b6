# SPDX-License-Identifier: Apache-2.0
"""Centerlines keep the topology of what they are of, and clDice counts along them."""

from __future__ import annotations

import math

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from liver_seg_ros.evaluation.cl_dice import cl_dice
from liver_seg_ros.evaluation.skeleton import centerline


def tube(length: int = 40, radius: float = 4.0) -> NDArray[np.bool_]:
    """Along i, in the middle of 13 x 13 voxels, from i = 5."""
    k, j, i = np.mgrid[:13, :13, : length + 10]
    return ((k - 6) ** 2 + (j - 6) ** 2 <= radius**2) & (i >= 5) & (i < length + 5)


def topology(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Parts of the foreground (26-connected) and of the background around it (6-connected), and the Euler number."""
    padded = np.pad(mask, 1)
    parts = cc3d.connected_components(padded, connectivity=26, return_N=True)[1]
    outside = cc3d.connected_components(~padded, connectivity=6, return_N=True)[1]
    # Voxels as closed cubes: corners - edges + faces - cubes, each counted once where any cube has it.
    euler = 0
    for widen in np.ndindex(2, 2, 2):
        cells = padded
        for axis, wide in enumerate(widen):
            cells = cells | np.roll(cells, 1, axis) if wide else cells
        euler += (-1) ** (3 - sum(widen)) * int(np.count_nonzero(cells))
    return parts, outside, euler


def test_euler_number_of_known_shapes() -> None:
    cube = np.ones((3, 3, 3), bool)
    ring = cube.copy()
    ring[:, 1, 1] = False
    shell = cube.copy()
    shell[1, 1, 1] = False
    assert [topology(mask) for mask in (cube, ring, shell)] == [(1, 1, 1), (1, 1, 0), (1, 2, 2)]


def test_the_centerline_of_a_tube_is_its_axis() -> None:
    line = np.argwhere(centerline(tube()))
    assert (line[:, :2] == 6).all()
    assert (np.diff(line[:, 2]) == 1).all()
    assert 40 - 2 * 4 <= len(line) <= 40


def test_what_is_thin_stays() -> None:
    path = np.zeros((9, 9, 9), bool)
    path[4, 4, 1:8] = path[4, 1:5, 4] = True
    path[range(4, 8), range(4, 8), 4] = True
    assert np.array_equal(centerline(path), path)
    assert not centerline(np.zeros((4, 4, 4), bool)).any()


def test_a_full_image_and_one_voxel_keep_one_voxel_at_least() -> None:
    full, one = np.ones((6, 7, 8), bool), np.zeros((3, 3), bool)
    one[0, 2] = True
    assert topology(centerline(full)) == (1, 1, 1)
    assert np.array_equal(centerline(one), one)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_topology_stays(data: st.DataObject) -> None:
    mask = data.draw(arrays(bool, data.draw(array_shapes(min_dims=3, max_dims=3, max_side=7))))
    line = centerline(mask)
    assert not (line & ~mask).any()
    assert topology(line) == topology(mask)
    assert np.array_equal(centerline(line), line)


def test_topology_of_large_smooth_shapes_stays() -> None:
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(30, 34, 38)), 2)
    mask = noise > np.quantile(noise, 0.8)
    line = centerline(mask)
    assert topology(line) == topology(mask)
    assert line.sum() < mask.sum() / 10


def test_a_flat_mask_is_thinned_in_its_plane() -> None:
    band = np.zeros((15, 40), bool)
    band[4:11, 3:37] = True
    line = np.argwhere(centerline(band))
    assert (line[:, 0] == 7).mean() > 0.7
    assert np.ptp(line[:, 1]) > 25
    with pytest.raises(ValueError, match="1 dimensions"):
        centerline(band[0])


def test_cl_dice_counts_length_not_volume() -> None:
    truth, thin = tube(), tube(radius=1.5)
    assert cl_dice(truth, truth) == 1
    assert cl_dice(thin, truth) == 1  # both lines lie in both masks
    half = truth.copy()
    half[..., 25:] = False  # its line is right; it misses half of the truth's
    line = np.argwhere(centerline(truth))[:, 2]
    sensitivity = (line < 25).mean()
    assert cl_dice(half, truth) == pytest.approx(2 * sensitivity / (1 + sensitivity))
    assert cl_dice(truth, half) == pytest.approx(cl_dice(half, truth))


def test_cl_dice_of_empty_masks_is_defined() -> None:
    some, empty = tube(), np.zeros_like(tube())
    assert math.isnan(cl_dice(empty, empty))
    assert cl_dice(some, empty) == cl_dice(empty, some) == 0
    assert cl_dice(some, np.roll(some, 6, axis=0) & ~some) == 0
    with pytest.raises(ValueError, match="one grid"):
        cl_dice(some, some[1:])
