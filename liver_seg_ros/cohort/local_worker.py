# SPDX-License-Identifier: Apache-2.0
"""How a worker process of this machine spends its core on cases and on nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from distributed import WorkerPlugin

from liver_seg_ros.malloc import give_back_freed_memory
from liver_seg_ros.memory import resident_bytes

#: Of glibc, which reads them as a process starts. Blocks of all sizes are of one heap, which nothing is taken from: the
#: thread that works would else have each array from the system and give it back. `malloc.keep_freed_memory` cannot
#: help here: where a thread has a heap of its own, 64 MB are the most that is kept.
_MALLOC = {
    "MALLOC_ARENA_MAX": 1,
    "MALLOC_MMAP_MAX_": 0,
    "MALLOC_TRIM_THRESHOLD_": 1 << 62,
    "MALLOC_TOP_PAD_": 64 << 20,
}
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1)
#: What workers' environment is given; the last two are Dask's own.
ENVIRONMENT = (*_ONE_THREAD, *_MALLOC, "PYTHONHASHSEED", "__DASK_PARENT_PID")
SETTINGS = {
    # Where all workers and the scheduler share this machine's cores. Each worker's stack would be looked at 100 times a
    # second to show where time goes, and nobody sees that here.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "1s",
    "distributed.nanny.pre-spawn-environ": _ONE_THREAD | _MALLOC,
}

#: Of its memory, that a worker keeps from one case to the next.
_KEPT_SHARE = 0.5


class OneCore(WorkerPlugin):
    """Each worker keeps to a core of its own, and libraries that would take all of them take one.

    By `SETTINGS` it keeps what it freed, too: Dask has the C library give everything back at once, and fresh pages were
    a quarter of a case's time. Where that is much of the worker's memory, this gives it back between two cases.

    Args:
        cores: of this machine, that may be used.
    """

    def __init__(self, cores: Sequence[int]) -> None:
        self._cores = tuple(cores)
        self._most_bytes = 0.0

    def setup(self, worker: Any) -> None:
        """In the worker's process, before its first case."""
        if self._cores:
            os.sched_setaffinity(0, {self._cores[int(worker.name) % len(self._cores)]})
        limit = worker.memory_manager.memory_limit
        self._most_bytes = float("inf") if limit is None else _KEPT_SHARE * limit

    def transition(self, key: object, start: str, finish: str, **_: Any) -> None:
        """Called as tasks come, run and end."""
        if start == "executing" and (resident_bytes() or 0) > self._most_bytes:
            give_back_freed_memory()
