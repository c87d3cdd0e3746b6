# SPDX-License-Identifier: Apache-2.0
"""The Canny map: where edges lie, which steps count, and that slices do not mix."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from liver_seg_ros.inference.canny import canny_map

ROW, COLUMN = np.mgrid[:64, :64]


def normalized(gray: NDArray[np.generic]) -> NDArray[np.float32]:
    """Gray levels 0 to 255 as networks see them, -1 ... 1."""
    return (np.asarray(gray, np.float32) / 127.5 - 1).astype(np.float32)


def disk(step: float) -> NDArray[np.float32]:
    return normalized(100 + step * (np.hypot(ROW - 32, COLUMN - 32) <= 15.5))


def test_the_edge_of_a_disk_is_a_thin_circle() -> None:
    edges = canny_map(disk(60))
    assert edges.dtype == np.float32
    assert set(np.unique(edges)) == {0, 1}
    radius = np.hypot(*(np.argwhere(edges) - 32).T)
    assert np.abs(radius - 15.5).max() < 1.3
    angles = np.degrees(np.arctan2(*(np.argwhere(edges) - 32).T))
    assert np.diff(np.sort(angles)).max() < 8  # no gap: neighboring pixels are up to sqrt(2) / 15.5 apart
    assert edges.sum() < 1.2 * 2 * np.pi * 15.5


@pytest.mark.parametrize(("step", "seen"), [(0, False), (28, False), (34, True), (-34, True)])
def test_a_step_counts_from_31_gray_levels_on(step: float, seen: bool) -> None:
    edges = canny_map(normalized(100 + step * (COLUMN >= 32)))
    assert edges.any() == seen
    if seen:
        assert (edges.sum(axis=1) == 1).all()


def test_a_weak_edge_counts_where_it_continues_a_strong_one() -> None:
    fading = 80 - ROW  # gray levels from row to row; below 31 from row 50 on
    image = normalized(100 + fading * (COLUMN >= 32))
    assert (canny_map(image).sum(axis=1) == 1).all()
    assert not canny_map(image[53:]).any()


def test_slices_do_not_mix_and_the_image_stays() -> None:
    stack = np.stack([disk(60), disk(0), -disk(60)])[None]  # (1, 3, J, I)
    before = stack.copy()
    edges = canny_map(stack)
    assert edges.shape == stack.shape
    assert np.array_equal(stack, before)
    assert np.array_equal(edges[0, 0], canny_map(disk(60)))
    assert not edges[0, 1].any()
    assert np.array_equal(edges[0, 2], canny_map(-disk(60)))


def test_smoothing_removes_the_edges_of_noise() -> None:
    noise = normalized(100 + 12 * np.random.default_rng(0).standard_normal((64, 64)))
    assert canny_map(noise, variance=2.0).sum() < 0.2 * canny_map(noise, variance=0.0).sum()
