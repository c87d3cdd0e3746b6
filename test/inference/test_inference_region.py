# SPDX-License-Identifier: Apache-2.0
"""Which voxels of a CT lie in a coarse mask."""

from __future__ import annotations

import numpy as np

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.region import Region


def test_a_region_holds_the_voxels_whose_centers_lie_in_its_mask() -> None:
    turned = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    ct = Geometry((20, 14, 9), (1.0, 1.5, 2.5), (5.0, -3.0, 20.0), turned)
    coarse = ct.resampled((4.0, 4.0, 4.0))
    mask = np.random.default_rng(3).random(coarse.shape) < 0.5
    region = Region(Box((3, 2, 1), (18, 12, 8)), mask, coarse, ct)
    inside = np.zeros(ct.shape, bool)
    inside[region.box.slices] = np.stack(list(region.slices()))
    index = np.argwhere(np.ones(ct.shape, bool))[:, ::-1]
    np.testing.assert_array_equal(region.holds(ct.index_to_lps(index)).reshape(ct.shape), inside)
    nearest = np.rint(coarse.lps_to_index(ct.index_to_lps(index))).astype(int)
    i, j, k = np.clip(nearest, 0, np.array(coarse.size) - 1).T
    expected = np.zeros(ct.shape, bool)
    expected[region.box.slices] = mask[k, j, i].reshape(ct.shape)[region.box.slices]
    np.testing.assert_array_equal(inside, expected)
    assert inside.any() and not inside.all()
