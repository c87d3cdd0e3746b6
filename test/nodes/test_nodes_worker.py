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
