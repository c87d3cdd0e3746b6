# SPDX-License-Identifier: Apache-2.0
"""How much memory this process and its worker processes have, without waiting for the kernel to count it."""

from __future__ import annotations

import threading
import time

from liver_seg_ros.memory import proportional_bytes, resident_bytes
from liver_seg_ros.offload.channel import worker_pids

#: Workers are counted no more often.
_PERIOD_S = 5.0

_lock = threading.Lock()
_counted_s = -_PERIOD_S
_of_workers = 0


def bytes_now() -> int | None:
    """Resident in this process, and the workers' part (PSS) as it was counted last; None where the kernel does not say.

    A count is begun where the last one is old, on a thread of its own: it takes too long for who has to answer.
    """
    global _counted_s
    own = resident_bytes()
    with _lock:
        due = own is not None and time.monotonic() - _counted_s >= _PERIOD_S
        if due:
            _counted_s = time.monotonic()
    if due:
        threading.Thread(target=_count, name="memory", daemon=True).start()
    return None if own is None else own + _of_workers


def _count() -> None:
    global _of_workers
    _of_workers = sum(proportional_bytes(pid) for pid in worker_pids())
