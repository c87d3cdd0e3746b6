# SPDX-License-Identifier: Apache-2.0
"""Slices told apart by a trait: only where those that differ in it lie between or upon each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.files.dicom_interleaving import split
from liver_seg_ros.files.dicom_slice import Slice
from liver_seg_ros.files.dicom_traits import TRAITS, Trait, Value

OF = {trait.keyword: trait for trait in TRAITS}
NUMBER, KERNEL, KIND, ORDER, TIME = (
    OF[name] for name in ("AcquisitionNumber", "ConvolutionKernel", "ImageType", "InstanceNumber", "ContentTime")
)


def parts_of(trait: Trait, *slices: tuple[float, Value | None]) -> list[list[int]]:
    """Which slices, given as depth in mm and value, are one acquisition."""
    made = [
        Slice(Path(f"{n}.dcm"), None, np.array([0.0, 0.0, depth]), np.eye(3), (1.0, 1.0), (2, 2), 1.0, 0.0, known)
        for n, (depth, value) in enumerate(slices)
        for known in [{} if value is None else {trait.keyword: value}]
    ]
    parts, differing = split(made, [trait])
    assert differing == ([trait.keyword] if len(parts) > 1 else [])
    return sorted([made.index(slice_) for slice_ in part] for part in parts)


def alternating(step_mm: float, values: Sequence[Value | None], others: Sequence[Value | None]) -> list:
    """Slices `step_mm` apart that have a value of the one and of the other in turn."""
    pairs = zip(values, others, strict=True)
    return [(2 * n * step_mm + k * step_mm, value) for n, pair in enumerate(pairs) for k, value in enumerate(pair)]


EVENS, ODDS, ALL = [0, 2, 4, 6, 8], [1, 3, 5, 7, 9], list(range(10))


@pytest.mark.parametrize("trait", [NUMBER, KERNEL, KIND])
def test_two_values_that_alternate_are_two(trait: Trait) -> None:
    values = (1, 2) if trait.is_ordered else ("a", "b")
    assert parts_of(trait, *alternating(1.0, [values[0]] * 5, [values[1]] * 5)) == [EVENS, ODDS]


@pytest.mark.parametrize("trait", [NUMBER, KERNEL, KIND])
def test_two_values_one_after_the_other_are_one(trait: Trait) -> None:
    values = (1, 2) if trait.is_ordered else ("a", "b")
    assert parts_of(trait, *((float(n), values[n > 4]) for n in range(10))) == [ALL]


@pytest.mark.parametrize(("trait", "one", "other"), [(KERNEL, "a", "b"), (NUMBER, 1, 2), (NUMBER, 2, 1)])
def test_blocks_that_touch_within_a_hundredth_of_a_millimetre_lie_upon_each_other(
    trait: Trait, one: Value, other: Value
) -> None:
    """The last slice of one and the first of the other at one place, or a little further."""
    for apart_mm, together in ((0.005, False), (0.02, True)):
        slices = [(0.0, one), (1.0, one), (2.0, one), (2.0 + apart_mm, other), (3.0, other), (4.0, other)]
        assert (len(parts_of(trait, *slices)) == 1) is together


@pytest.mark.parametrize("direction", [1, -1])
def test_passes_of_an_ordered_trait_end_where_the_scanner_turns(direction: int) -> None:
    """Numbers 1, 2, 3 in one direction, 4, 5, 6 in the other, over the same places."""
    there = [(direction * 2.0 * n, 1 + n) for n in range(3)]
    back = [(direction * (2.0 * (2 - n) - 1.0), 4 + n) for n in range(3)]
    assert parts_of(NUMBER, *there, *back) == [[0, 1, 2], [3, 4, 5]]
    onward = [(direction * 2.0 * (3 + n), 4 + n) for n in range(3)]
    assert parts_of(NUMBER, *there, *onward) == [[0, 1, 2, 3, 4, 5]]


def test_a_likely_trait_counts_only_where_both_are_whole_stacks() -> None:
    assert parts_of(KIND, (0, "a"), (1, "b"), (2, "a"), (3, "b"), (4, "a")) == [[0, 2, 4], [1, 3]]
    assert len(parts_of(KIND, (0, "a"), (1, "b"), (2, "a"), (3, "a"), (4, "a"), (5, "b"))) == 1
    assert len(parts_of(KIND, (0, "a"), (1, "b"), (2, "a"))) == 1  # a single slice is no stack
    assert len(parts_of(KERNEL, (0, "a"), (1, "b"), (2, "a"))) == 2  # a sure one says it all the same


def test_as_many_kinds_as_slices_at_one_place_are_acquisitions_though_slices_are_missing() -> None:
    doubled = [(0, "a"), (0, "b"), (1, "a"), (3, "b"), (3, "a"), (4, "b"), (6, "a")]
    assert parts_of(KIND, *doubled) == [[0, 2, 4, 6], [1, 3, 5]]
    assert len(parts_of(KIND, *doubled, (6, "c"))) == 1  # three kinds, and never three at a place
    assert len(parts_of(KIND, *doubled, (6, "a"))) == 1  # one of them is doubled itself


@pytest.mark.parametrize("pause_s", [3, 4])
def test_alternating_times_are_two_only_with_a_pause_between(pause_s: int) -> None:
    """Slices three seconds apart, written up over the even places and then over the odd ones."""
    start = datetime(2024, 1, 2, 10)
    even = [start + timedelta(seconds=3 * n) for n in range(5)]
    odd = [even[-1] + timedelta(seconds=pause_s + 3 * n) for n in range(5)]
    found = parts_of(TIME, *alternating(1.0, even, odd))
    assert found == ([EVENS, ODDS] if pause_s > 3 else [ALL])


@pytest.mark.parametrize(("first", "two"), [(6, False), (7, True)])
def test_alternating_numbers_are_two_only_with_a_gap_between(first: int, two: bool) -> None:
    slices = alternating(1.0, [1, 2, 3, 4, 5], [first + n for n in range(5)])
    assert parts_of(ORDER, *slices) == ([EVENS, ODDS] if two else [ALL])


def test_two_moments_are_two_however_near() -> None:
    start = datetime(2024, 1, 2, 10)
    assert parts_of(TIME, *alternating(1.0, [start] * 5, [start + timedelta(seconds=0.05)] * 5)) == [EVENS, ODDS]


def test_slices_that_lack_a_number_beside_such_that_have_one() -> None:
    assert parts_of(ORDER, *alternating(1.0, [1, 2, 3, 4, 5], [None] * 5)) == [EVENS, ODDS]
    assert parts_of(KERNEL, *alternating(1.0, ["a"] * 5, [None] * 5)) == [EVENS, ODDS]
    lacking = [(0.0, "a"), (1.0, None), (2.0, "a"), (3.0, "a"), (4.0, None)]
    assert len(parts_of(KERNEL, *lacking)) == 1  # not sure any more, and no stacks


def test_places_within_a_hundredth_of_a_millimetre_are_one_and_steps_may_differ_by_a_tenth() -> None:
    for off_mm, stack in ((0.19, True), (0.21, False)):
        slices = [(0, "a"), (1, "b"), (2 + off_mm, "a"), (3, "b"), (4, "a"), (5, "b")]
        assert (len(parts_of(KIND, *slices)) == 2) is stack
    for off_mm, doubled in ((0.009, True), (0.011, False)):
        slices = [(0, "a"), (off_mm, "b"), (1, "a"), (3, "b"), (3.5, "a")]
        assert (len(parts_of(KIND, *slices)) == 2) is doubled
