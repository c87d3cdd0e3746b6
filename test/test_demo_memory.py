# SPDX-License-Identifier: Apache-2.0
"""The memory that the demo tells is that of a process and of the workers that it started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from demo_processes import Processes

HOLDING = "held = b'x' * 150_000_000; print('ready', flush=True); import time; time.sleep(100)"
STARTING = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLDING!r}])"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's memory in /proc")
def test_workers_count(tmp_path: Path) -> None:
    with Processes(os.environ, tmp_path) as processes:
        for name, code in (("alone", HOLDING), ("starts another", STARTING)):
            process = processes.start(name, ["-c", code], read_output=True)
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        peaks = processes.peak_memory_mb()
    assert 150 < peaks["alone"] < 200 and 155 < peaks["starts another"] < 220
