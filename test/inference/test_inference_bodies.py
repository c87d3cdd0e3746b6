# SPDX-License-Identifier: Apache-2.0
"""Bodies, holes and small bodies, against SciPy's and against counting everything."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from liver_seg_ros.inference.bodies import ANY_NEIGHBOR, FACES, body_with_most, filled, small_bodies

STRUCTURES = {FACES: ndimage.generate_binary_structure(3, 1), ANY_NEIGHBOR: np.ones((3, 3, 3), bool)}
SEEDS = range(40)


def blobs(seed: int) -> tuple[NDArray[np.bool_], np.random.Generator]:
    random = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(random.normal(size=random.integers(1, 24, 3)), random.uniform(0, 2))
    return noise > 0.1 * random.normal() * noise.std(), random


@pytest.mark.parametrize("seed", SEEDS)
def test_holes_are_what_no_way_by_faces_leads_out_of(seed: int) -> None:
    mask, _ = blobs(seed)
    np.testing.assert_array_equal(filled(mask), ndimage.binary_fill_holes(mask))


def test_spaces_that_are_open_at_several_borders_stay_open() -> None:
    mask = np.zeros((5, 9, 9), bool)
    mask[:, 4] = True  # parts the space in two
    mask[1:4, 6:9, 1:4] = True
    mask[2, 7, 2] = False
    np.testing.assert_array_equal(filled(mask), ndimage.binary_fill_holes(mask))
    assert filled(mask)[2, 7, 2] and not filled(mask)[0, 0, 0] and not filled(mask)[0, 8, 8]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_body_with_most_is_found_whether_or_not_it_has_half(seed: int) -> None:
    mask, random = blobs(seed)
    counted = mask & (random.random(mask.shape) < random.random())
    parts, count = ndimage.label(mask, STRUCTURES[ANY_NEIGHBOR])
    voxels = [np.count_nonzero(counted & (parts == part)) for part in range(1, count + 1)]
    found = body_with_most(mask, counted)
    assert np.count_nonzero(found & counted) == max(voxels, default=0)
    assert not found.any() or len(np.unique(parts[found])) == 1
    assert found.any() == counted.any() and np.count_nonzero(parts == parts[found].max(initial=-1)) == found.sum()


@pytest.mark.parametrize("connectivity", [FACES, ANY_NEIGHBOR])
@pytest.mark.parametrize("seed", SEEDS)
def test_small_bodies_are_those_with_fewer_voxels(seed: int, connectivity: int) -> None:
    mask, random = blobs(seed)
    least = int(random.integers(0, 40))
    parts, _ = ndimage.label(mask, STRUCTURES[connectivity])
    expected = mask & (np.bincount(parts.reshape(-1))[parts] < least)
    found = np.zeros(mask.size, bool)
    found[small_bodies(mask, least, connectivity)] = True
    np.testing.assert_array_equal(found.reshape(mask.shape), expected)
