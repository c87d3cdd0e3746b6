# SPDX-License-Identifier: Apache-2.0
"""Answers that come in time although other work fills every core: real-time priority, where the system grants it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")


def go_first(priority: int) -> bool:
    """Let the main thread and those of DDS go before all ordinary work of the machine (SCHED_RR).

    Threads that Python started beside the main one, and threads and processes that begin later, stay ordinary: what
    they do takes seconds and waits well.

    Args:
        priority: 1 to 99; ordinary work comes after 1 already. 0 changes nothing.

    Returns:
        Whether it is so now; false where the system does not grant it to this user.
    """
    if priority == 0 or not hasattr(os, "SCHED_RESET_ON_FORK"):
        return priority == 0
    main = threading.main_thread()
    ordinary = {thread.native_id for thread in threading.enumerate() if thread is not main}
    try:
        for thread in {int(entry.name) for entry in _THREADS.iterdir()} - ordinary:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setscheduler(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except PermissionError:
        return False
    return True
