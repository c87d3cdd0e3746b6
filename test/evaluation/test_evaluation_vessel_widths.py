# SPDX-License-Identifier: Apache-2.0
"""Dice by width: a fault in wide vessels shows where it is, however many thin ones there are."""

from __future__ import annotations

from math import inf, isnan

import numpy as np
import pytest
from numpy.typing import NDArray

from liver_seg_ros.evaluation.overlap import overlap
from liver_seg_ros.evaluation.vessel_widths import dice_by_width

SPACING_MM = (1.0, 1.0, 2.0)
THIN, MIDDLE, WIDE = (0.0, 3.0), (3.0, 6.0), (6.0, inf)


def rod(center_ji: tuple[int, int], radius_mm: float, shape: tuple[int, int, int] = (30, 60, 60)) -> NDArray[np.bool_]:
    """A straight vessel along k."""
    j, i = np.ogrid[: shape[1], : shape[2]]
    disk = (j - center_ji[0]) ** 2 + (i - center_ji[1]) ** 2 <= radius_mm**2
    return np.broadcast_to(disk, shape).copy()


@pytest.fixture
def wide() -> NDArray[np.bool_]:
    return rod((15, 15), 6.0)


@pytest.fixture
def thin() -> NDArray[np.bool_]:
    return rod((45, 10), 1.0) | rod((45, 25), 1.0) | rod((45, 40), 1.0)


def test_a_hollow_trunk_is_seen(wide: NDArray[np.bool_], thin: NDArray[np.bool_]) -> None:
    truth = wide | thin
    answer = truth & ~rod((15, 15), 4.0)
    scores = dice_by_width(answer, truth, SPACING_MM)
    expected = overlap(answer & wide, wide).dice
    assert scores[WIDE] == pytest.approx(expected, abs=0.01)
    assert scores[THIN] == 1.0
    assert isnan(scores[MIDDLE])


def test_what_is_added_counts_for_the_vessel_beside_it(wide: NDArray[np.bool_], thin: NDArray[np.bool_]) -> None:
    answer = wide | rod((45, 10), 2.0) | rod((45, 25), 1.0) | rod((45, 40), 1.0)
    scores = dice_by_width(answer, wide | thin, SPACING_MM)
    assert scores[WIDE] == 1.0
    added = np.count_nonzero(answer) - np.count_nonzero(wide | thin)
    assert scores[THIN] == pytest.approx(2 * thin.sum() / (2 * thin.sum() + added))


def test_nothing_found_is_zero_and_nothing_there_has_no_score(wide: NDArray[np.bool_]) -> None:
    empty = np.zeros_like(wide)
    assert dice_by_width(empty, wide, SPACING_MM)[WIDE] == 0.0
    assert all(isnan(score) for score in dice_by_width(wide, empty, SPACING_MM).values())


def test_widths_are_in_millimeters() -> None:
    """The same voxels at half the spacing are half as wide."""
    truth = rod((30, 30), 4.0)
    assert dice_by_width(truth, truth, (1.0, 1.0, 1.0))[WIDE] == 1.0
    assert dice_by_width(truth, truth, (0.5, 0.5, 0.5))[MIDDLE] == 1.0


def test_masks_and_spacing_are_checked(wide: NDArray[np.bool_]) -> None:
    with pytest.raises(ValueError, match="one grid"):
        dice_by_width(wide, wide[1:], SPACING_MM)
    with pytest.raises(ValueError, match="spacing_mm must be 3 positive lengths"):
        dice_by_width(wide, wide, (1.0, 1.0))
