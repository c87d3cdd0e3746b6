# SPDX-License-Identifier: Apache-2.0
"""How much of a cohort's work is done."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros.cohort.run import _shares


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_shares_add_up_to_all_and_each_case_has_one(sizes):
    shares = _shares(sizes)
    assert sum(shares) == pytest.approx(1.0) and min(shares) > 0


def test_a_case_of_unknown_size_counts_as_a_mean_one():
    assert _shares([0, 10, 30]) == pytest.approx([1 / 3, 1 / 6, 1 / 2])
