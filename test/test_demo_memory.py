# SPDX-License-Identifier: Apache-2.0
"""The memory that the demo tells is that of a process and of all that it started, at one moment, shared pages once."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from liver_seg_ros import memory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from demo import memory_line
from demo_memory import MemoryWatch, Most, tree_mb
from demo_processes import Processes

HOLDING = "held = b'x' * 150_000_000; print('ready', flush=True); import time; time.sleep(100)"
STARTING = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLDING!r}])"
TWICE = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STARTING!r}])"
#: Child and parent have the same pages.
SHARING = "held = b'x' * 150_000_000; import os, time; os.fork() or print('ready', flush=True); time.sleep(100)"
#: One after the other: 150 MB are had, given back, and had again by a child.
IN_TURN = f"held = b'x' * 150_000_000; import time; time.sleep(1); del held; {STARTING}"


def test_workers_of_workers_count_and_what_is_shared_counts_once(tmp_path: Path) -> None:
    codes = {"alone": HOLDING, "by another": TWICE, "shared": SHARING}
    with Processes(dict(os.environ), tmp_path) as processes, MemoryWatch(processes.pids, period_s=0.1) as watch:
        for name, code in codes.items():
            process = processes.start(name, ["-c", code], read_output=True)
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        watch.count()
    assert {name for name, most in watch.most.items() if most.shared_once} == codes.keys()
    assert all(150 < watch.most[name].mb < 200 for name in codes), watch.most


def test_what_was_there_at_other_moments_is_not_added(tmp_path: Path) -> None:
    with Processes(dict(os.environ), tmp_path) as processes, MemoryWatch(processes.pids, period_s=0.1) as watch:
        process = processes.start("in turn", ["-c", IN_TURN], read_output=True)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(0.3)
    assert 150 < watch.most["in turn"].mb < 220


def test_where_the_kernel_does_not_tell_shared_pages_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / str(os.getpid())
    own.mkdir()
    (own / "status").write_text((memory.PROCESSES / "self/status").read_text())  # and no smaps_rollup
    monkeypatch.setattr(memory, "PROCESSES", tmp_path)
    mb, shared_once = tree_mb(os.getpid())
    assert mb > 10 and not shared_once
    line = memory_line({"nodes": Most(mb, shared_once), "other": Most(5.0)})
    assert "(shared pages more than once)" in line and line.endswith("other 5 MB")
