"""The clock of a job: stages that work inside one another add up to the whole."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from liver_seg_ros.errors import CancelledError
from liver_seg_ros.progress import Stages, never_cancelled, no_progress


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
    with pytest.raises(CancelledError, match="localize"), stages.stage("localize"):
        pytest.fail("begun")
    assert stages.seconds == {}
