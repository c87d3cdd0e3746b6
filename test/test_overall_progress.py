# SPDX-License-Identifier: Apache-2.0
"""One fraction for a whole job: it never goes back, reaches 1, and is even where the job goes as it did before."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros.overall_progress import OverallProgress

names = st.sampled_from("abcde")
courses = st.lists(st.tuples(names, st.floats(0, 100)), max_size=6)
told = st.lists(st.tuples(names, st.floats(0, 1)), min_size=1, max_size=30)


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@given(courses, told)
def test_it_never_goes_back_and_stays_between_0_and_1(before, updates):
    progress = OverallProgress(before)
    fractions = [progress.update(stage, fraction).fraction for stage, fraction in updates]
    assert fractions == sorted(fractions)
    assert fractions[0] >= 0.0 and fractions[-1] <= 1.0


def test_a_job_that_goes_as_before_runs_evenly_and_tells_the_time_left():
    before = [("localize", 1.0), ("segment", 6.0), ("postprocess", 3.0)]
    clock, done_s = Clock(), 0.0
    progress = OverallProgress(before, clock)
    for stage, seconds in before:
        for step in range(11):
            clock.now_s = 1000.0 + done_s + seconds * step / 10
            overall = progress.update(stage, step / 10)
            assert overall.fraction == pytest.approx((clock.now_s - 1000.0) / 10.0)
            if overall.fraction > 0.05:
                assert overall.seconds_left == pytest.approx(1010.0 - clock.now_s)
        done_s += seconds
    assert overall.fraction == pytest.approx(1.0)
    assert progress.course() == [(name, pytest.approx(seconds)) for name, seconds in before]


def test_the_course_of_a_job_is_the_next_ones_measure():
    clock = Clock()
    first = OverallProgress([("a", 1.0), ("b", 1.0)], clock)
    for stage, seconds in (("a", 9.0), ("c", 0.0), ("b", 1.0)):
        first.update(stage, 0.0)
        clock.now_s += seconds
    second = OverallProgress(first.course(), clock)
    assert second.update("a", 1.0).fraction == pytest.approx(0.9)


def test_a_stage_that_was_not_expected_takes_its_part_of_what_is_left():
    progress = OverallProgress([("a", 1.0), ("b", 1.0)])
    assert progress.update("a", 1.0).fraction == pytest.approx(0.5)
    assert progress.update("search", 1.0).fraction == pytest.approx(0.75)  # a mean stage, and b to come
    assert progress.update("b", 1.0).fraction == pytest.approx(1.0)


def test_a_stage_that_does_not_come_is_passed_over():
    progress = OverallProgress([("a", 1.0), ("search", 8.0), ("b", 1.0)])
    progress.update("a", 1.0)
    assert progress.update("b", 1.0).fraction == pytest.approx(1.0)


def test_a_stage_may_come_twice():
    progress = OverallProgress([("a", 1.0), ("b", 2.0), ("a", 1.0)])
    progress.update("a", 1.0)
    progress.update("b", 1.0)
    assert progress.update("a", 0.0).fraction == pytest.approx(0.75)
    assert progress.update("a", 1.0).fraction == pytest.approx(1.0)


def test_nothing_is_known_of_the_time_left_at_first():
    assert math.isnan(OverallProgress([("a", 1.0)]).update("a", 0.0).seconds_left)
