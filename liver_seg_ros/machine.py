# SPDX-License-Identifier: Apache-2.0
"""Names the machine that a figure was measured on: a number without it says little."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def usable_cores() -> int:
    """Cores that this process may run on (fewer than the machine has where it is pinned)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> str:
    """One line: CPU model, cores, memory, operating system, Python."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{_cpu_model()}, {usable_cores()} of {os.cpu_count()} cores, {memory_gb:.0f} GB memory, {_system()}, "
        f"Python {platform.python_version()}"
    )


def _cpu_model() -> str:
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):  # x86; some ARM boards
            return value.strip()
    for line in _lines("/proc/device-tree/model"):  # Jetson and other boards
        return line.strip("\0 ")
    return platform.processor() or platform.machine()


def _system() -> str:
    for line in _lines("/etc/os-release"):
        if line.startswith("PRETTY_NAME="):
            return f"{line.partition('=')[2].strip(chr(34))} {platform.machine()}"
    return f"{platform.system()} {platform.release()} {platform.machine()}"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
