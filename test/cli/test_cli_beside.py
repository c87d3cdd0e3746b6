# SPDX-License-Identifier: Apache-2.0
"""Work beside a command: its result, its errors, its progress, and its end where nobody wants it."""

from __future__ import annotations

import time
from threading import Event, get_ident

import pytest

from liver_seg_ros.cli.beside import Beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.progress import Cancelled, Progress


def test_work_runs_beside_and_is_heard_from_when_it_is_waited_for() -> None:
    heard: list[tuple[str, float]] = []
    begun, may_end = Event(), Event()

    def work(told: Progress, cancelled: Cancelled) -> int:
        told("load", 0.25)
        begun.set()
        assert may_end.wait(10)
        time.sleep(0.2)  # until somebody waits
        told("load", 0.75)
        assert not cancelled()
        return get_ident()

    with Beside(work, lambda stage, fraction: heard.append((stage, fraction))) as beside:
        assert begun.wait(10)
        assert heard == []
        may_end.set()
        assert beside.result() != get_ident()
    assert heard == [("load", 0.75)]


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    def work(told: Progress, cancelled: Cancelled) -> None:
        raise InputError("no models here")

    with Beside(work, lambda stage, fraction: None) as beside:
        time.sleep(0.05)
        with pytest.raises(InputError, match="no models here"):
            beside.result()


def test_what_nobody_waits_for_is_cancelled_and_left_behind() -> None:
    ended = Event()

    def work(told: Progress, cancelled: Cancelled) -> None:
        while not cancelled():
            time.sleep(0.01)
        ended.set()

    with pytest.raises(InputError, match="no CT"), Beside(work, lambda stage, fraction: None):
        raise InputError("no CT here")
    assert ended.wait(10)
