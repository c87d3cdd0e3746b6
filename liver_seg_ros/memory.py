# SPDX-License-Identifier: Apache-2.0
"""How much memory this machine can give, asked before much of it is taken, and how much processes have."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from pathlib import Path

GIB = 2**30
PROCESSES = Path("/proc")
MEMORY = PROCESSES / "meminfo"
OWN = PROCESSES / "self/status"


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


def proportional_bytes(pid: int) -> int:
    """What a process has in memory, where several have the same its part of that (PSS); 0 where it cannot be told.

    The kernel looks at every page: of a gigabyte for some hundredths of a second.
    """
    try:
        lines = (PROCESSES / str(pid) / "smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration, ValueError):
        return 0


def children(pid: int) -> list[int]:
    """Processes that this one has started and that have not ended; none where the system does not tell."""
    found = []
    for file in PROCESSES.glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            state, parent, *_ = file.read_text(encoding="ascii", errors="replace").rpartition(") ")[2].split()
            found += [int(file.parent.name)] if int(parent) == pid and state != "Z" else []
    return found
