# SPDX-License-Identifier: Apache-2.0
"""y = G * argmax(o), for the structures that are asked for and for no others."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.smoothing import check_smoothing, parse_smoothing, smooth_labels

GRID = Geometry((30, 28, 26), (1.0, 1.25, 2.0))
SIGMA = (0.6, 0.96, 1.2)  # of 1.2 mm, in voxels along (k, j, i)


@pytest.fixture
def labels() -> np.ndarray:
    """A liver with a rough tumor, a vessel two voxels wide that leaves it, and single voxels of tumor."""
    k, j, i = np.ogrid[:26, :28, :30]
    found = np.zeros(GRID.shape, np.uint8)
    found[((k - 13) / 9) ** 2 + ((j - 14) / 11) ** 2 + ((i - 13) / 11) ** 2 < 1] = 1
    rough = np.random.default_rng(0).uniform(0.6, 1.4, found.shape)
    found[(k - 12) ** 2 + (j - 15) ** 2 + (i - 10) ** 2 < 20 * rough] = 2
    found[8:10, 8:10, 10:] = 3
    found[20, 14, 13] = found[2, 2, 2] = 2
    return found


def smoothed(mask: np.ndarray) -> np.ndarray:
    return gaussian_filter(mask.astype(np.float64), SIGMA, mode="nearest", truncate=3.0) > 0.5


def test_a_tumor_is_what_the_filter_makes_of_it_and_its_specks_become_what_is_around(labels: np.ndarray) -> None:
    before = labels.copy()
    found = smooth_labels(labels, GRID, {"tumor": 1.2})
    np.testing.assert_array_equal(labels, before)
    tumor = smoothed(labels == 2)
    assert np.count_nonzero(tumor != (labels == 2)) > 100
    np.testing.assert_array_equal(found == 2, tumor)
    np.testing.assert_array_equal(found == 3, (labels == 3) & ~tumor)
    assert found[20, 14, 13] == 1 and found[2, 2, 2] == 0


def test_the_liver_is_smoothed_as_an_organ(labels: np.ndarray) -> None:
    found = smooth_labels(labels, GRID, {"liver": 1.2})
    for value in (2, 3):
        np.testing.assert_array_equal(found == value, labels == value)  # nothing in it is lost, nothing outside
    np.testing.assert_array_equal((found == 1)[labels < 2], smoothed(labels > 0)[labels < 2])


def test_a_tumor_lies_over_a_vessel_where_both_would_have_a_voxel() -> None:
    cubes = Geometry((21, 21, 21))
    labels = np.full(cubes.shape, 3, np.uint8)  # a vessel all around
    labels[9:12, 9:12, 9:12] = 2
    labels[10, 10, 10] = 1  # a hole in the tumor
    found = smooth_labels(labels, cubes, {"tumor": 0.8, "vessel": 4.0})
    assert found[10, 10, 10] == 2
    labels[10, 10, 10] = 3  # and one that is a vessel
    assert smooth_labels(labels, cubes, {"tumor": 0.8})[10, 10, 10] == 2


def test_nothing_is_smoothed_unless_it_is_asked_for(labels: np.ndarray) -> None:
    assert smooth_labels(labels, GRID, {}) is labels
    assert smooth_labels(labels, GRID, {"tumor": 0.0}) is labels


def test_what_is_no_smoothing_is_refused() -> None:
    assert parse_smoothing(["tumor=1.5", "liver=0"]) == {"tumor": 1.5, "liver": 0.0}
    for wrong in ("tumor", "tumor=wide", "spleen=1", "tumor=-1", "tumor=11", "=1"):
        with pytest.raises(InputError, match="is no smoothing; give one of liver, tumor, vessel and a length"):
            parse_smoothing([wrong])
    with pytest.raises(InputError, match="'spleen=1' is no smoothing"):
        check_smoothing({"spleen": 1.0})
