# SPDX-License-Identifier: Apache-2.0
"""How jobs that run beside each other tell one progress and learn of one cancellation."""

from __future__ import annotations

from collections.abc import Hashable
from threading import Lock

from liver_seg_ros.errors import CancelledError
from liver_seg_ros.progress import Cancelled, Done, Progress


class Telling:
    """One stage whose work is done by jobs in several threads.

    `progress` and `cancelled` are called by one thread at a time, the fraction never falls, and nobody is asked or
    told anything any more once the answer was to stop.
    """

    def __init__(self, stage: str, progress: Progress, cancelled: Cancelled) -> None:
        self._stage, self._progress, self._cancelled = stage, progress, cancelled
        self._done: dict[Hashable, float] = {}
        self._stopped = False
        self._lock = Lock()

    def stop(self) -> None:
        """Let the other jobs end at their next step, because one of them has failed."""
        self._stopped = True

    def ask(self) -> None:
        """Raise `CancelledError` where the work is to end."""
        with self._lock:
            self._ask()

    def share(self, job: Hashable, begin: float, end: float) -> Done:
        """A `Done` for a job that is the part from `begin` to `end` of the stage; it also asks whether to go on."""

        def done(fraction: float) -> None:
            with self._lock:
                self._ask()
                self._done[job] = max(self._done.get(job, 0.0), fraction * (end - begin))
                self._progress(self._stage, sum(self._done.values()))

        return done

    def _ask(self) -> None:
        if self._stopped or self._cancelled():
            self._stopped = True
            raise CancelledError(f"cancelled during {self._stage}")
