# SPDX-License-Identifier: Apache-2.0
"""How much memory this machine can give, asked before much of it is taken, and how much this process has."""

from __future__ import annotations

from math import inf
from pathlib import Path

GIB = 2**30
MEMORY = Path("/proc/meminfo")
OWN = Path("/proc/self/status")


def free_memory_bytes() -> float:
    """What this machine can give without swapping; infinity where the kernel does not say."""
    try:
        fields = dict(line.split(":", 1) for line in MEMORY.read_text(encoding="ascii").splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return inf


def resident_bytes() -> int | None:
    """What of this process is in memory, shared memory included; None where the kernel does not say."""
    try:
        fields = dict(line.split(":", 1) for line in OWN.read_text(encoding="ascii", errors="replace").splitlines())
        return int(fields["VmRSS"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
