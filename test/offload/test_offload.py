# SPDX-License-Identifier: Apache-2.0
"""Work in a process of its own: what goes there and comes back, and that nothing stays, however either side ends."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.errors import CancelledError, InputError
from liver_seg_ros.memory import proportional_bytes
from liver_seg_ros.offload.channel import WorkerLostError, end_all
from liver_seg_ros.offload.parcels import pack, receive
from liver_seg_ros.offload.worker_process import SameProcess, WorkerProcess

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def work():
    sys.path.insert(0, str(HERE))
    import offload_work

    yield offload_work.Work
    sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def made_of(tmp_path_factory):
    file = tmp_path_factory.mktemp("made") / "of"
    file.write_text("first")
    return file


@pytest.fixture(scope="module")
def process(work, made_of):
    process = WorkerProcess("test", work, str(made_of))
    yield process
    process.close()


def pid_of(process, work):
    [(pid, _)] = process.run(work.pid)
    return pid


def is_gone(pid):
    return not Path(f"/proc/{pid}/stat").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def wait_until(condition, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_arrays_large_small_empty_and_turned_go_and_come_back(process, work):
    rng = np.random.default_rng(0)
    large = rng.integers(-1000, 1000, (40, 70, 60), np.int16)
    read_only = large.copy()
    read_only.flags.writeable = False
    volumes = [large, large[:2, :3], np.empty((0, 3), np.int16), large[::-1], large.T, read_only]
    answers = list(process.run(work.negative, volumes))
    for volume, (negative, writeable) in zip(volumes, answers, strict=True):
        np.testing.assert_array_equal(negative, -volume)
        assert writeable == volume.flags.writeable
    answers[0][0][:] = 0  # nobody else sees it
    [[again, _]] = process.run(work.negative, [large])
    np.testing.assert_array_equal(again, -large)


def test_nothing_of_what_was_sent_stays_in_memory_or_open(process, work):
    def held():
        folders = [Path("/proc") / str(which) for which in (pid, "self")]
        return np.array([((f / "maps").read_text().count("memfd:"), len(list((f / "fd").iterdir()))) for f in folders])

    pid = pid_of(process, work)
    gc.collect()  # what other tests left must not go meanwhile and hide what this one leaves
    before = held()
    for _ in range(5):
        list(process.run(work.negative, [np.zeros((50, 50, 50), np.int16)]))
    deadline = time.monotonic() + 20  # the other process lets go a moment after it has answered
    while (held() > before).any():
        assert time.monotonic() < deadline, f"{before} before, {held()} after"
        time.sleep(0.05)


def test_a_process_that_waits_keeps_no_memory_that_its_work_has_freed(process, work):
    pid = pid_of(process, work)
    before = proportional_bytes(pid)
    list(process.run(work.fill, 300))
    wait_until(lambda: proportional_bytes(pid) < before + 100e6)


def test_a_process_gives_way_by_its_niceness(work, made_of):
    process = WorkerProcess("nice", work, str(made_of), niceness=7)
    assert os.getpriority(os.PRIO_PROCESS, pid_of(process, work)) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 7)
    process.close()


def test_what_came_read_only_is_passed_on_without_a_copy(process, work):
    volume = np.arange(100_000, dtype=np.int16)
    volume.flags.writeable = False
    with pack([volume, volume[::2]]) as packed:
        assert [file.own for file in packed.files] == [True]
    here, there = Pipe()
    with pack([volume, volume.copy()]) as packed:
        packed.send(here, "work", 1)
    came, writeable = receive(there).unpack()
    part = came[10:90_000]
    with pack([part, writeable]) as packed:
        assert [(file.own, file.writable) for file in packed.files] == [(False, False), (True, True)]
    del came
    for sent in (part, writeable):
        [[negative, _]] = process.run(work.negative, [sent])
        np.testing.assert_array_equal(negative, -sent)


def test_threads_are_used_again(process, work):
    """Each new one would have an arena of its own in the C library's memory, which is never given back."""
    threads = [thread for _ in range(10) for thread in process.run(work.thread)]
    assert len(set(threads)) < len(threads)


def test_progress_and_warnings_come_through_on_the_thread_that_asked(process, work, caplog):
    told = []
    for _ in range(2):  # the second time too
        list(process.run(work.tell, progress=lambda *words: told.append(words)))
    assert told[0] == ("counting", 0.0) and told[-1] == ("counting", 1.0)
    said = [(r.name, r.levelno, r.getMessage(), r.threadName) for r in caplog.records]
    here = ("MainThread",)
    assert (
        said
        == [
            ("liver_seg_ros.somewhere", logging.WARNING, "a doubt", *here),
            ("py.warnings", logging.WARNING, "that is odd", *here),
        ]
        * 2
    )


@pytest.mark.parametrize(
    ("what", "kind", "says"),
    [
        ("input", InputError, "the input is at fault"),
        ("odd", RuntimeError, "OddError: this and that"),
        ("odd input", InputError, "^here and there"),
        ("large", MemoryError, "Unable to allocate"),
    ],
)
def test_errors_come_back_as_they_are_and_the_process_goes_on(process, work, what, kind, says):
    pid = pid_of(process, work)
    parts = process.run(work.fail, what)
    assert next(parts) == 1
    with pytest.raises(kind, match=says) as raised:
        next(parts)
    assert "offload_work.py" in str(raised.value.__cause__)
    assert pid_of(process, work) == pid


def test_an_object_that_cannot_be_made_is_tried_again(work, tmp_path):
    process = WorkerProcess("test", work, str(tmp_path / "later"))
    with pytest.raises(FileNotFoundError):
        process.wait_until_made()
    (tmp_path / "later").write_text("second")
    [(_, made)] = process.run(work.pid)
    assert made == "second"
    process.close()


def test_a_killed_process_is_said_and_the_next_piece_of_work_gets_a_new_one(process, work):
    pid = pid_of(process, work)
    parts = process.run(work.die)
    assert next(parts) == 1
    with pytest.raises(WorkerLostError, match="by SIGKILL"):
        next(parts)
    os.kill(pid_of(process, work), signal.SIGTERM)  # while it has nothing to do
    wait_until(lambda: not process._channel.is_usable)
    [(new, made)] = process.run(work.pid)
    assert new != pid and made == "first"


def test_cancelled_work_ends_soon_whether_or_not_it_notices(process, work, tmp_path):
    pid = pid_of(process, work)
    with pytest.raises(CancelledError, match="waiting"):
        list(process.run(work.obey, cancelled=lambda: True))
    began = []

    def cancelled():
        if (tmp_path / "holding").exists() and not began:
            began.append(time.monotonic())
        return bool(began)

    with pytest.raises(CancelledError, match="ends unheard"):
        list(process.run(work.hold_python, 600.0, str(tmp_path), cancelled=cancelled))
    assert time.monotonic() - began[0] < 5.0  # 0.3 s where nothing else runs
    # It holds all of Python there: only the kernel can end it.
    process.close()
    assert is_gone(pid)
    assert pid_of(process, work) != pid


def test_work_that_nobody_wants_any_more_is_told(process, work):
    said = []
    parts = process.run(work.obey, progress=lambda *words: said.append(words), cancelled=lambda: len(said) > 2)
    with pytest.raises(CancelledError):
        next(parts)
    wait_until(lambda: not process._channel._working)


@pytest.mark.parametrize("way", ["killed", "leaves"])
def test_the_end_of_the_process_that_asked_is_the_end_of_the_other(tmp_path, made_of, way):
    program = f"""
import os, sys, threading
sys.path.insert(0, {str(HERE)!r})
from offload_work import Work
from liver_seg_ros.offload.channel import end_all
from liver_seg_ros.offload.parcels import pack, receive
from liver_seg_ros.offload.worker_process import WorkerProcess
process = WorkerProcess("test", Work, {str(made_of)!r})
threading.Thread(target=lambda: list(process.run(Work.hold_python, 600.0, {str(tmp_path)!r})), daemon=True).start()
sys.stdin.read()
end_all()
os._exit(0)
"""
    asking = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, cwd=tmp_path)
    holding = tmp_path / "holding"
    wait_until(lambda: holding.exists() and holding.read_text())
    worker = int(holding.read_text())
    if way == "killed":
        asking.kill()
    else:
        asking.stdin.close()
    asking.wait(30)
    wait_until(lambda: is_gone(worker), 10.0)


def test_the_same_door_leads_to_this_process(work, made_of):
    here = SameProcess(work, str(made_of))
    assert list(here.run(work.pid)) == [(os.getpid(), "first")]
    with pytest.raises(InputError):
        list(here.run(work.fail, "input"))


def test_all_ends_with_end_all(work, made_of):
    processes = [WorkerProcess("test", work, str(made_of)) for _ in range(2)]
    pids = [pid_of(process, work) for process in processes]
    end_all()
    assert all(is_gone(pid) for pid in pids)


def test_work_that_is_ended_with_its_process_was_cancelled_and_not_lost(process, work, tmp_path):
    raised = []

    def ask():
        try:
            list(process.run(work.hold_python, 600.0, str(tmp_path)))
        except (CancelledError, WorkerLostError) as error:
            raised.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until((tmp_path / "holding").exists)
    process.close()
    asking.join(30)
    [error] = raised
    assert isinstance(error, CancelledError) and "\n" not in str(error)
