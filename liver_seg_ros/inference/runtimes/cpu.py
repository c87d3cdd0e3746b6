# SPDX-License-Identifier: Apache-2.0
"""What the processor offers: how many cores, and whether it multiplies 8-bit integers in hardware."""

from __future__ import annotations

import os
from pathlib import Path

#: Flags of /proc/cpuinfo: dot products of 8-bit integers with 32-bit sums. Without them sums saturate at 16 bits, and
#: the answers may differ from those that were scored.
INT8_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8")


def usable_cores() -> int:
    """Cores this process may run on; a container or taskset often grants fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_device(threads: int) -> str:
    """E.g. "CPU, 8 threads"."""
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}"


def int8_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """The flag of `INT8_FLAGS` that this processor has, or None."""
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return None
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return next((flag for flag in INT8_FLAGS if flag in flags), None)
