# SPDX-License-Identifier: Apache-2.0
"""One job at a time, the newest wins, and a failing job does not end the thread."""

from __future__ import annotations

import threading
import time

import pytest

from liver_seg_ros.nodes.worker import Worker
from liver_seg_ros.progress import raise_if_cancelled


@pytest.fixture
def errors():
    return []


@pytest.fixture
def worker(errors):
    worker = Worker("test", errors.append)
    yield worker
    assert worker.stop(5.0)


def test_a_newer_job_cancels_the_running_one_and_replaces_the_waiting_one(worker, errors):
    running, ran = threading.Event(), []

    def until_cancelled(cancelled):
        running.set()
        while not cancelled():
            time.sleep(0.001)
        ran.append("cancelled")
        raise_if_cancelled(cancelled, "test")

    worker.submit(until_cancelled)
    assert running.wait(5.0)
    with worker._changed:  # both are submitted before the running job can react
        worker.submit(lambda cancelled: ran.append("replaced"))
        worker.submit(lambda cancelled: ran.append("last"))
    assert worker.wait_until_idle(5.0)
    assert ran == ["cancelled", "last"]
    assert errors == []


def test_a_failing_job_is_reported_and_the_next_one_runs(worker, errors):
    def fail(cancelled):
        raise ValueError("broken")

    worker.submit(fail)
    assert worker.wait_until_idle(5.0)
    done = threading.Event()
    worker.submit(lambda cancelled: done.set())
    assert done.wait(5.0)
    assert [str(error) for error in errors] == ["broken"]


def test_stop_says_when_a_job_does_not_react(errors):
    release = threading.Event()
    worker = Worker("deaf", errors.append)
    worker.submit(lambda cancelled: release.wait(10.0))
    time.sleep(0.05)
    assert not worker.stop(0.05)
    release.set()
    assert worker.stop(5.0)


def test_a_job_that_does_not_notice_keeps_the_next_one_waiting_for_a_moment_only(errors):
    """Of jobs left behind there is one at a time: each still has its memory."""
    worker, release, began, told = Worker("deaf", errors.append), threading.Event(), [], []

    def deaf(name):
        def job(cancelled):
            began.append((name, time.monotonic()))
            release.wait(20.0)
            if name == "first":
                raise ValueError("nobody wants to hear of it")

        return job

    def wait_for(count):
        deadline = time.monotonic() + 10.0
        while len(began) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        return len(began) == count

    worker.submit(deaf("first"), told.append)
    assert wait_for(1)
    asked = time.monotonic()
    worker.submit(deaf("second"), told.append, "a second came")
    assert told == ["a second came"]
    assert wait_for(2)
    assert 0.2 < began[1][1] - asked < 5.0  # 0.5 s where nothing else runs
    worker.submit(deaf("third"), told.append)
    time.sleep(1.0)
    assert [name for name, _ in began] == ["first", "second"]
    assert not worker.stop(0.05)
    release.set()
    assert worker.stop(5.0) and errors == []


def test_a_job_that_notices_in_time_is_not_left_behind(worker, errors):
    threads = []

    def until_cancelled(cancelled):
        threads.append(threading.get_ident())
        while not cancelled():
            time.sleep(0.001)

    for _ in range(5):
        worker.submit(until_cancelled)
        time.sleep(0.05)
    worker.cancel("enough")
    assert worker.wait_until_idle(5.0)
    assert len(threads) == 5 and len(set(threads)) == 1
