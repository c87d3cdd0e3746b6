# SPDX-License-Identifier: Apache-2.0
"""What is next to each voxel is what SciPy's filters say."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, maximum_filter1d

from liver_seg_ros.inference.neighborhood import both_ends, eroded, highest_near

SHAPES = npst.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)


@settings(max_examples=60)
@given(npst.arrays(np.int16, SHAPES), st.integers(0, 6), st.integers(0, 2))
def test_the_highest_near(values: NDArray[np.int16], reach: int, axis: int) -> None:
    before = values.copy()
    expected = maximum_filter1d(values, 2 * reach + 1, axis=axis, mode="constant", cval=np.iinfo(np.int16).min)
    np.testing.assert_array_equal(highest_near(values, reach, axis), expected)
    np.testing.assert_array_equal(values, before)


@settings(max_examples=60)
@given(npst.arrays(bool, SHAPES))
def test_eroded(mask: NDArray[np.bool_]) -> None:
    before = mask.copy()
    np.testing.assert_array_equal(eroded(mask), binary_erosion(mask))
    np.testing.assert_array_equal(mask, before)


@settings(max_examples=60)
@given(npst.arrays(bool, SHAPES), st.integers(0, 6), st.integers(0, 2))
def test_both_ends(mask: NDArray[np.bool_], reach: int, axis: int) -> None:
    kept = both_ends(mask, reach, axis)
    for place in np.ndindex(*mask.shape):
        ends = [(*place[:axis], place[axis] + step, *place[axis + 1 :]) for step in (-reach, reach)]
        assert kept[place] == all(mask[end] for end in ends if 0 <= end[axis] < mask.shape[axis])
