# SPDX-License-Identifier: Apache-2.0
"""The computer itself: memory, disk, shared memory, socket buffers, processor, clock."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from liver_seg_ros.doctor.finding import Finding, Level, finding
from liver_seg_ros.inference.runtimes.cache_folder import cache_folder
from liver_seg_ros.inference.runtimes.cpu import INT8_FLAGS, int8_instructions

#: A CT of 512x512x300 from file to meshes peaks below this (docs/benchmarks.md); with the rest of a desktop beside it.
ENOUGH_MEMORY_GB, LEAST_MEMORY_GB = 4.0, 2.0
#: An engine and its timing cache; results of a CT.
ENOUGH_DISK_GB, LEAST_DISK_GB = 2.0, 0.2
#: What config/fastdds_shm.xml takes of /dev/shm for a few processes.
ENOUGH_SHARED_GB, LEAST_SHARED_GB = 2.0, 0.2
#: Below it a burst of slabs from another computer is lost by the kernel (ROS 2's guide to DDS tuning).
ENOUGH_RECEIVE_BYTES = 4_000_000


def host_findings(proc: Path = Path("/proc"), shared_memory: Path = Path("/dev/shm")) -> Iterator[Finding]:  # noqa: S108  only looked at
    """Look at the computer.

    Args:
        proc, shared_memory: where Linux shows itself; elsewhere they are missing, and it is said that nobody looked.
    """
    yield _memory(proc / "meminfo")
    yield _disk("disk for engines", cache_folder(), "set LIVER_SEG_CACHE to a folder on a disk with room")
    yield _disk("disk for temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a folder on a disk with room")
    yield _shared(shared_memory)
    yield _receive_buffer(proc / "sys" / "net" / "core" / "rmem_max")
    yield _processor()
    yield _clock(time.time())


def _memory(meminfo: Path) -> Finding:
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free_gb = int(lines["MemAvailable"].split()[0]) / 1e6
    except (OSError, ValueError, KeyError):
        return Finding("memory", Level.OK, "not known: this is no Linux")
    level = _level(free_gb, ENOUGH_MEMORY_GB, LEAST_MEMORY_GB)
    return finding("memory", f"{free_gb:.1f} GB free", "close other programs, or use smaller CTs", level)


def _disk(name: str, folder: Path, advice: str) -> Finding:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free_gb = shutil.disk_usage(there).free / 1e9
    if not os.access(there, os.W_OK):
        return Finding(name, Level.PROBLEM, f"{folder}: cannot be written", advice)
    return finding(name, f"{folder}: {free_gb:.1f} GB free", advice, _level(free_gb, ENOUGH_DISK_GB, LEAST_DISK_GB))


def _shared(folder: Path) -> Finding:
    name = "shared memory"
    if not folder.is_dir():
        return Finding(name, Level.WARNING, f"there is no {folder}", "CTs cross DDS by UDP, which is slower")
    free_gb = shutil.disk_usage(folder).free / 1e9
    left = sum(1 for path in folder.glob("fastrtps_*"))
    advice = "give the container --shm-size=4g, or remove what killed processes left (fastdds shm clean)"
    found = f"{folder}: {free_gb:.1f} GB free, {left} segment{'' if left == 1 else 's'} of Fast DDS"
    return finding(name, found, advice, _level(free_gb, ENOUGH_SHARED_GB, LEAST_SHARED_GB))


def _receive_buffer(rmem_max: Path) -> Finding:
    name = "socket buffer for CTs from other computers"
    try:
        most = int(rmem_max.read_text())
    except (OSError, ValueError):
        return Finding(name, Level.OK, "not known: this is no Linux")
    level = Level.OK if most >= ENOUGH_RECEIVE_BYTES else Level.WARNING
    advice = "sudo sysctl -w net.core.rmem_max=16777216, and the same line in /etc/sysctl.d/ to keep it"
    return finding(name, f"net.core.rmem_max is {most} bytes", advice, level)


def _processor() -> Finding:
    name = "processor"
    threads, fast = os.cpu_count() or 1, int8_instructions()
    if fast is None:
        found = f"{threads} threads, no 8-bit instructions ({', '.join(INT8_FLAGS)})"
        return Finding(name, Level.WARNING, found, "networks run in fp32 on it, about half as fast; a GPU is faster")
    return Finding(name, Level.OK, f"{threads} threads, 8-bit multiplication by {fast}")


def _clock(now_s: float) -> Finding:
    written_s = Path(__file__).stat().st_mtime
    said = time.strftime("%Y-%m-%d %H:%M", time.gmtime(now_s)) + " UTC"
    level = Level.OK if now_s > written_s - 86_400 else Level.PROBLEM
    advice = "set it (timedatectl set-ntp true): TF and volumes are told apart by their time, on all computers alike"
    return finding("clock", said if level == Level.OK else f"{said}, before this package was installed", advice, level)


def _level(there: float, enough: float, least: float) -> Level:
    if there >= enough:
        return Level.OK
    return Level.WARNING if there >= least else Level.PROBLEM
