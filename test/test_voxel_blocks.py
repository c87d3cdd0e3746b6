# SPDX-License-Identifier: Apache-2.0
"""Blocks of voxels: against each block by itself, also of views and where the last blocks are cut."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from liver_seg_ros.voxel_blocks import in_blocks


@pytest.mark.parametrize(("combine", "dtype"), [(np.maximum, None), (np.add, np.int32), (np.logical_or, None)])
def test_each_block_is_what_is_made_of_its_voxels(combine, dtype) -> None:
    random = np.random.default_rng(0)
    for shape, step in product([(7, 5, 9), (1, 4, 4), (6, 3, 2)], [(1, 1, 1), (2, 3, 2), (8, 8, 8)]):
        values = random.integers(-30_000, 30_000, shape[::-1], np.int16).transpose()[:, ::-1]
        array = values > 0 if combine is np.logical_or else values
        found = in_blocks(array, step, combine, dtype)
        assert found.dtype == (array.dtype if dtype is None else dtype)
        starts = [range(0, size, count) for size, count in zip(shape, step, strict=True)]
        assert found.shape == tuple(map(len, starts))
        for place, corner in zip(np.ndindex(found.shape), product(*starts), strict=True):
            block = array[tuple(slice(a, a + n) for a, n in zip(corner, step, strict=True))]
            whole = combine.reduce(block.astype(np.int64 if dtype else block.dtype).reshape(-1))
            assert found[place] == whole
