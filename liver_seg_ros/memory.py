# SPDX-License-Identifier: Apache-2.0
"""How much memory this machine can give, asked before much of it is taken, and how much processes have."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from pathlib import Path

GIB = 2**30
PROCESSES = Path("/proc")
MEMORY = PROCESSES / "meminfo"


def free_memory_bytes() -> float:
    """What this machine can give without swapping; infinity where the kernel does not say."""
    try:
        fields = dict(line.split(":", 1) for line in MEMORY.read_text(encoding="ascii").splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return inf


def resident_bytes(pid: int | None = None) -> int | None:
    """What a process, None for this one, has in memory, shared memory included; None where the kernel does not say."""
    status = PROCESSES / ("self" if pid is None else str(pid)) / "status"
    try:
        fields = dict(line.split(":", 1) for line in status.read_text(encoding="ascii", errors="replace").splitlines())
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
    return [child for child, parent in _parents().items() if parent == pid]


def descendants(pid: int) -> list[int]:
    """Those, and what these have started, and so on."""
    parents, found = _parents(), [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def _parents() -> dict[int, int]:
    """Who started each process that has not ended."""
    parents = {}
    for file in PROCESSES.glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            state, parent, *_ = file.read_text(encoding="ascii", errors="replace").rpartition(") ")[2].split()
            if state != "Z":
                parents[int(file.parent.name)] = int(parent)
    return parents
