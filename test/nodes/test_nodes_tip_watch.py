# SPDX-License-Identifier: Apache-2.0
"""When a needle's tip cannot be believed, on clocks that the test turns."""

from __future__ import annotations

import pytest

from liver_seg_ros.nodes.tip_watch import TipWatch
from liver_seg_ros.planning.guard import Reason

SECOND = 1_000_000_000


class Clock:
    """Judges a tip at x mm, stamped so many seconds after the start, at a time of both clocks."""

    def __init__(self) -> None:
        self.watch = TipWatch(timeout_s=0.1, max_speed_mm_s=1000.0, hold_s=0.5)

    def judge(self, stamp_s: float | None, x_mm: float, now_s: float, steady_s: float | None = None) -> Reason:
        stamp_ns = None if stamp_s is None else round(stamp_s * SECOND)
        steady_s = now_s if steady_s is None else steady_s
        return self.watch.judge(stamp_ns, (x_mm, 0, 0), round(now_s * SECOND), steady_s)[0]


def test_a_needle_that_moves_as_needles_do_is_believed() -> None:
    clock = Clock()
    assert {clock.judge(n / 100, n * 9.0, n / 100 + 0.02) for n in range(200)} == {Reason.NONE}


@pytest.mark.parametrize(("age_s", "reason"), [(0.09, Reason.NONE), (0.11, Reason.STALE_TRANSFORM)])
def test_old_and_future_stamps(age_s: float, reason: Reason) -> None:
    assert Clock().judge(5.0, 0, 5.0 + age_s) == reason
    assert Clock().judge(5.0, 0, 5.0 - age_s) == reason


def test_a_stamp_that_comes_again_and_again_grows_old_where_the_clock_of_stamps_stands_still() -> None:
    clock = Clock()
    assert clock.judge(0.0, 0, 0.0, 10.0) == Reason.NONE
    assert clock.judge(0.0, 0, 0.0, 10.09) == Reason.NONE
    assert clock.judge(0.0, 0, 0.0, 10.11) == Reason.STALE_TRANSFORM
    assert clock.judge(0.01, 0, 0.01, 10.12) == Reason.NONE


def test_a_simulation_faster_than_time_grows_old_by_its_own_clock() -> None:
    clock = Clock()
    clock.judge(0.0, 0, 0.0, 10.0)
    assert clock.judge(0.0, 0, 0.2, 10.001) == Reason.STALE_TRANSFORM


@pytest.mark.parametrize(
    ("stamp_s", "x_mm", "reason"),
    [(1.01, 9.9, Reason.NONE), (1.01, 10.1, Reason.JUMP), (1.01, -10.1, Reason.JUMP), (0.99, 0.0, Reason.JUMP)],
)
def test_faster_than_a_needle_or_back_in_time_is_a_jump(stamp_s: float, x_mm: float, reason: Reason) -> None:
    clock = Clock()
    clock.judge(1.0, 0.0, 1.0)
    assert clock.judge(stamp_s, x_mm, 1.02) == reason


def test_a_jump_is_told_for_a_while_and_then_over() -> None:
    clock = Clock()
    clock.judge(1.0, 0.0, 1.0)
    told = [clock.judge(1.0 + n / 100, 500.0, 1.0 + n / 100) for n in range(1, 100)]
    assert told[:50] == [Reason.JUMP] * 50
    assert set(told[52:]) == {Reason.NONE}


def test_what_is_static_is_never_old() -> None:
    assert Clock().judge(None, 0, 1e6) == Reason.NONE


def test_what_moved_and_is_static_now_is_not_believed() -> None:
    clock = Clock()
    clock.judge(1.0, 0.0, 1.0)
    assert clock.judge(None, 0.0, 1.01) == Reason.STALE_TRANSFORM


@pytest.mark.parametrize("x_mm", [float("nan"), float("inf"), 1e308])
def test_a_place_that_is_none_is_a_jump(x_mm: float) -> None:
    clock = Clock()
    clock.judge(1.0, -1e308, 1.0)
    assert clock.judge(1.01, x_mm, 1.01) == Reason.JUMP
