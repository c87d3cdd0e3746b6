# SPDX-License-Identifier: Apache-2.0
"""Starts the demo's processes and makes sure that none outlives it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_STOP_DEADLINE_S = 10.0
_PR_SET_PDEATHSIG = 1
_SHARED_MEMORY_BYTES = 2_000_000_000
_DOMAINS = range(80, 102)  # those below are the tests'; above, DDS ports meet those that Linux hands out


def ros_environment() -> dict[str, str]:
    """This process's environment with a ROS domain of its own, this machine only, and large shared memory."""
    environment = dict(os.environ)
    environment["ROS_DOMAIN_ID"] = str(_DOMAINS[os.getpid() % len(_DOMAINS)])
    if environment.get("ROS_DISTRO") == "humble":
        environment["ROS_LOCALHOST_ONLY"] = "1"
    else:
        environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    shared_memory = Path("/dev/shm")  # noqa: S108  only looked at
    if shared_memory.is_dir() and shutil.disk_usage(shared_memory).free > _SHARED_MEMORY_BYTES:
        for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
            environment.setdefault(name, str(ROOT / "config" / "fastdds_shm.xml"))
    return environment


class Processes:
    """Child processes in groups of their own; all of them are gone when the `with` block ends, however it ends."""

    def __init__(self, environment: Mapping[str, str], log_folder: Path) -> None:
        self._environment = environment
        self._log_folder = log_folder
        self._running: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Processes:
        self._log_folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._signal_groups(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_DEADLINE_S
        for process in self._running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue
        self._signal_groups(signal.SIGKILL)  # also what a process that ended well may have left in its group
        for process in self._running.values():
            process.wait()

    def start(self, name: str, python_arguments: Sequence[str], read_output: bool = False) -> subprocess.Popen[str]:
        """Start Python with these arguments from the repository's root; what it says goes to `<name>.log`."""
        with (self._log_folder / f"{name}.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, *python_arguments],
                cwd=ROOT,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if read_output else log,
                stderr=log,
                text=True,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self._running[name] = process
        return process

    def ended(self) -> list[str]:
        """Names of the processes that are no longer there."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def pids(self) -> dict[str, int]:
        """Of the processes that have not ended, by name."""
        return {name: process.pid for name, process in list(self._running.items()) if process.poll() is None}

    def _signal_groups(self, number: signal.Signals) -> None:
        for process in self._running.values():
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                continue


def _end_with_parent() -> None:
    """In the child: have the kernel end it when this program dies without its `with` block (SIGKILL, say)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
