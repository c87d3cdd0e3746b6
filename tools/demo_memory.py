# SPDX-License-Identifier: Apache-2.0
"""The most memory that processes and their workers had at one moment, watched while they work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from liver_seg_ros.memory import descendants, proportional_bytes, resident_bytes

#: To count a gigabyte keeps a core busy for some hundredths of a second.
PERIOD_S = 0.5


@dataclass
class Most:
    """The largest sum over a process and all that it started, at one moment.

    Attributes:
        mb: MB of 10^6 bytes; 0 until it was counted.
        shared_once: True where pages that several processes have count once (PSS); False where the kernel does not
            tell that of one of them, whose pages count in full (RSS).
    """

    mb: float = 0.0
    shared_once: bool = True


class MemoryWatch:
    """Counts on a thread of its own while its `with` block runs.

    Args:
        pids: tells by name which processes run.

    Attributes:
        most: by name.
    """

    def __init__(self, pids: Callable[[], Mapping[str, int]], period_s: float = PERIOD_S) -> None:
        self._pids = pids
        self._period_s = period_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self.most: dict[str, Most] = {}

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def count(self) -> None:
        """Once, now."""
        for name, pid in self._pids().items():
            mb, shared_once = tree_mb(pid)
            most = self.most.setdefault(name, Most())
            if mb > most.mb:
                self.most[name] = Most(mb, shared_once)

    def _watch(self) -> None:
        while not self._ended.is_set():
            began_s = time.monotonic()
            self.count()
            self._ended.wait(max(0.0, self._period_s - (time.monotonic() - began_s)))


def tree_mb(pid: int) -> tuple[float, bool]:
    """What a process and all that it started have in memory now, MB, and whether what they share counted once."""
    total, shared_once = 0, True
    for one in (pid, *descendants(pid)):
        proportional = proportional_bytes(one)
        if not proportional:
            resident = resident_bytes(one)
            shared_once = shared_once and not resident  # one that has ended has nothing
            proportional = resident or 0
        total += proportional
    return total / 1e6, shared_once
