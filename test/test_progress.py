# SPDX-License-Identifier: Apache-2.0
"""How far a job is, and its clock: stages that work inside one another add up to the whole."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from liver_seg_ros import progress
from liver_seg_ros.errors import CancelledError
from liver_seg_ros.progress import Stages, approaching, never_cancelled, no_progress, part_of


def test_time_counts_for_the_innermost_stage_only() -> None:
    def slices() -> Iterator[int]:
        for n in range(3):
            time.sleep(0.02)
            yield n

    stages = Stages(no_progress, never_cancelled)
    began = time.perf_counter()
    with stages.stage("outer"):
        assert list(stages.timed_each("inner", slices())) == [0, 1, 2]
        time.sleep(0.03)
    whole = time.perf_counter() - began
    assert list(stages.seconds) == ["outer", "inner"]
    assert stages.seconds["inner"] >= 0.06 and 0.03 <= stages.seconds["outer"] <= whole - 0.06
    assert sum(stages.seconds.values()) == pytest.approx(whole, abs=0.01)


def test_an_error_in_a_stage_leaves_the_clock_running() -> None:
    stages = Stages(no_progress, never_cancelled)
    with stages.timed("outer"):
        with pytest.raises(ValueError, match="broken"), stages.timed("inner"):
            raise ValueError("broken")
        time.sleep(0.02)
    assert stages.seconds["outer"] >= 0.02 > stages.seconds["inner"]


def test_a_cancelled_job_begins_no_stage() -> None:
    stages = Stages(no_progress, lambda: True)
    with pytest.raises(CancelledError, match="cancelled during localize"), stages.stage("localize"):
        pytest.fail("begun")
    assert stages.seconds == {}


def test_a_stage_tells_its_begin_what_its_work_tells_and_its_end() -> None:
    told: list[tuple[str, float]] = []
    stages = Stages(lambda stage, fraction: told.append((stage, fraction)))
    with stages.stage("read") as done:
        done(0.25)
    assert told == [("read", 0.0), ("read", 0.25), ("read", 1.0)]
    with pytest.raises(ValueError, match="broken"), stages.stage("write"):
        raise ValueError("broken")
    assert told[3:] == [("write", 0.0)]  # what broke is not done
    assert list(stages.seconds) == ["read", "write"]


def test_a_stage_that_is_entered_twice_has_the_time_of_both() -> None:
    stages = Stages()
    for _ in range(2):
        with stages.stage("surfaces"):
            time.sleep(0.02)
    assert stages.seconds["surfaces"] >= 0.04


def test_a_part_of_a_part_is_told_as_that_much_of_the_whole() -> None:
    told: list[float] = []
    half = part_of(told.append, 0.5, 1.0)
    inner = part_of(half, 0.2, 0.4)
    for fraction in (0.0, 0.5, 1.0):
        inner(fraction)
    assert told == pytest.approx([0.6, 0.65, 0.7])


def test_work_of_unknown_length_comes_nearer_and_never_arrives() -> None:
    told: list[float] = []
    step = approaching(told.append, 0.5)
    for _ in range(4):
        step()
    assert told == pytest.approx([0.5, 0.75, 0.875, 0.9375])
    steady: list[float] = []
    step = approaching(steady.append)
    for _ in range(20):
        step()
    assert steady == sorted(set(steady)) and steady[0] == pytest.approx(0.2) and steady[-1] < 1


def test_stages_beside_each_other_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress, "perf_counter", lambda: now)
    clock = progress.StagesBeside()
    with clock.timed("one"):
        now += 1
        with clock.timed("other"):
            now += 2
            with clock.timed("one"):
                now += 3
    now += 50  # nothing runs
    with clock.timed("other"):
        now += 4
    assert clock.seconds == {"one": pytest.approx(1 + 1 + 2), "other": pytest.approx(1 + 1 + 4)}
