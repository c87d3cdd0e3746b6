# SPDX-License-Identifier: Apache-2.0
"""An organ that grows where more of the CT counts is the one that is found anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bundle import CLEANING_STEPS, Postprocessing
from liver_seg_ros.inference.growing import grown_organ
from liver_seg_ros.inference.postprocessing import find_organ
from liver_seg_ros.inference.region import Region

CT = Geometry((70, 60, 44), (1.5, 1.5, 2.0))
COARSE = Geometry((26, 23, 22), (4.0, 4.0, 4.0))
BOX = Box((3, 2, 1), (68, 60, 44))
OPTIONS = Postprocessing({"liver": 1000.0, "tumor": 20.0}, 3.0)


def masks(seed: int) -> tuple[NDArray[np.uint8], Region, Region]:
    """Labels of the box; what counted before, and what counts from now on too."""
    random = np.random.default_rng(seed)
    k, j, i = np.indices(CT.shape, dtype=float)
    far = np.sqrt((k - 22) ** 2 + ((j - 30) / 1.4) ** 2 + ((i - 35) / 1.6) ** 2)
    labels = (far + 4 * ndimage.gaussian_filter(random.normal(size=CT.shape), 3) * 10 < 17).astype(np.uint8)
    if seed % 3 == 0:  # a tumor, somewhere
        k, j, i = random.integers(8, 36, 3)
        labels[k : k + 4, j : j + 4, i + 5 : i + 9] = 2
    labels = labels[BOX.slices]
    k, j, i = np.indices(COARSE.shape)
    near = (abs(i - 13) < random.integers(4, 12)) & (abs(j - 11) < random.integers(4, 10))
    touched = np.zeros_like(near)
    for _ in range(int(random.integers(0, 4))):
        touched |= np.maximum(abs(k - random.integers(22)), np.maximum(abs(j - 11), abs(i - random.integers(26)))) < 4
    return labels, Region(BOX, near, COARSE, CT), Region(BOX, touched & ~near, COARSE, CT)


def counting(labels: NDArray[np.uint8], region: Region) -> NDArray[np.uint8]:
    return labels * np.stack(list(region.slices()))


@pytest.mark.parametrize("whole", [False, True])
def test_what_grows_is_what_is_found_anew(whole: bool) -> None:
    steps = tuple(step for step in CLEANING_STEPS if not whole or step != "one_liver")
    options = replace(OPTIONS, steps=steps)
    told = 0
    for seed in range(60):
        labels, before, added = masks(seed)
        organ = find_organ(counting(labels, before), CT.crop(BOX), options)
        was = organ.labels.copy(), organ.mask.copy()
        grown = grown_organ(organ, labels, added, options)
        np.testing.assert_array_equal(organ.labels, was[0])
        np.testing.assert_array_equal(organ.mask, was[1])
        if grown is None:
            continue
        told += 1
        anew = find_organ(counting(labels, before) + counting(labels, added), CT.crop(BOX), options)
        np.testing.assert_array_equal(grown.mask, anew.mask)
        np.testing.assert_array_equal(grown.labels, anew.labels)
    assert told > 15


def block(*boxes: tuple[slice, slice, slice]) -> NDArray[np.uint8]:
    labels = np.zeros(BOX.size[::-1], np.uint8)
    for box in boxes:
        labels[box] = 1
    return labels


def test_what_is_told_apart_only_by_looking_at_all_is_left_to_that() -> None:
    near, added = np.zeros(COARSE.shape, bool), np.zeros(COARSE.shape, bool)
    near[:, :, :8], near[:, :, 20:], added[:, :, 8:12] = True, True, True
    before, more = Region(BOX, near, COARSE, CT), Region(BOX, added, COARSE, CT)

    def grown(labels: NDArray[np.uint8]) -> object:
        organ = find_organ(counting(labels, before), CT.crop(BOX), OPTIONS)
        return grown_organ(organ, labels, more, OPTIONS)

    liver = block((slice(5, 30), slice(5, 30), slice(2, 26)))
    assert grown(liver) is not None
    with_tumor = liver.copy()
    with_tumor[10:14, 10:14, 20:24] = 2
    assert grown(with_tumor) is None
    # What is added joins two bodies.
    joined = liver | block((slice(32, 40), slice(5, 30), slice(2, 26)), (slice(5, 40), slice(5, 9), slice(22, 24)))
    assert grown(joined) is None
    # What is added may be the larger body.
    assert grown(block((slice(5, 30), slice(5, 30), slice(2, 8)), (slice(35, 42), slice(2, 56), slice(17, 28)))) is None
    assert grown(np.zeros_like(liver)) is None
