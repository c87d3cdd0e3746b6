"""How much memory this machine can give, asked before much of it is taken."""

from __future__ import annotations

from math import inf
from pathlib import Path

GIB = 2**30
MEMORY = Path("/proc/meminfo")


def free_memory_bytes() -> float:
    """What this machine can give without swapping; infinity where the kernel does not say."""
    try:
        fields = dict(line.split(":", 1) for line in MEMORY.read_text(encoding="ascii").splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return inf
