# SPDX-License-Identifier: Apache-2.0
"""Heavy work off the executor's thread, so that a node answers while it computes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from liver_seg_ros.errors import CancelledError
from liver_seg_ros.progress import Cancelled

#: What a worker runs: it is given `cancelled` and raises `CancelledError` soon after that has become true.
Job = Callable[[Cancelled], None]

#: Is told why, at once and once, where a job is cancelled before it has come to its end.
Told = Callable[[str], None]


@dataclass(eq=False)
class _Task:
    job: Job
    told: Told
    cancelled: threading.Event = field(default_factory=threading.Event)


def _not_told(why: str) -> None:
    """The default `Told`."""


#: A cancelled job that goes on for so long, inside a library that asks nobody, is left behind, and the next one begins.
PATIENCE_S = 0.25
#: Jobs that may be left behind at a time: each still has its memory.
MOST_LEFT_BEHIND = 1


class Worker:
    """Runs one job at a time on its own thread; a newer job cancels the running one and replaces a waiting one.

    A job that is slow to notice does not keep the next one waiting (`PATIENCE_S`): it ends on its old thread, unheard.

    Args:
        name: of the thread.
        on_error: called on the worker's thread with whatever a job raised, except `CancelledError`.
        around: makes what surrounds all that the thread does.
    """

    def __init__(
        self,
        name: str,
        on_error: Callable[[Exception], None],
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._on_error = on_error
        self._around = around
        self._changed = threading.Condition()
        self._waiting: _Task | None = None
        self._running: _Task | None = None
        self._stopped = False
        self._name = name
        self._threads: list[threading.Thread] = []  # the last one takes jobs; those before were left behind
        self._begin_thread()

    def submit(self, job: Job, told: Told = _not_told, why: str = "a newer one came") -> None:
        """Run `job` next; returns at once. `told` is of this job, `why` is for those that it replaces."""
        with self._changed:
            given_up = self._give_up()
            self._waiting = _Task(job, told)
            late = self._running
            self._changed.notify_all()
        _tell(given_up, why)
        if late is not None:
            timer = threading.Timer(PATIENCE_S, self._leave_behind, (late,))
            timer.daemon = True
            timer.start()

    def cancel(self, why: str = "it is not wanted any more") -> None:
        """Ask the running job to stop and forget a waiting one; returns at once."""
        with self._changed:
            given_up = self._give_up()
        _tell(given_up, why)

    @property
    def busy(self) -> bool:
        """True while a job runs or waits."""
        with self._changed:
            return self._waiting is not None or self._running is not None

    def wait_until_idle(self, timeout_s: float) -> bool:
        """True once no job runs or waits, False where that takes longer than `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting is None and self._running is None, timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """Cancel everything and end the thread; False where it did not end within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._stopped = True
            given_up = self._give_up()
        _tell(given_up, "the node ends")
        threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _give_up(self) -> list[_Task]:
        """Cancel the running and the waiting task; those that were not cancelled before."""
        given_up = [task for task in (self._running, self._waiting) if task and not task.cancelled.is_set()]
        for task in given_up:
            task.cancelled.set()
        self._waiting = None
        self._changed.notify_all()
        return given_up

    def _run(self) -> None:
        with self._around():
            while (task := self._next_task()) is not None:
                try:
                    task.job(task.cancelled.is_set)
                except CancelledError:
                    pass  # asked for, and nothing is left half-done
                except Exception as error:  # noqa: BLE001  the thread's boundary: a bug in one job must not end the node
                    if not task.cancelled.is_set():
                        self._on_error(error)

    def _begin_thread(self) -> None:
        # A daemon: a job that does not react to its cancellation must not keep the process alive.
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._threads = [*(old for old in self._threads if old.is_alive()), thread]
        thread.start()

    def _leave_behind(self, late: _Task) -> None:
        """Take jobs on a new thread where `late` still runs and another one waits."""
        with self._changed:
            left_behind = sum(thread.is_alive() for thread in self._threads[:-1])
            if self._running is not late or self._waiting is None or self._stopped or left_behind >= MOST_LEFT_BEHIND:
                return
            self._running = None
            self._begin_thread()

    def _next_task(self) -> _Task | None:
        """The next job, once there is one; None where this thread is to end."""
        with self._changed:
            if threading.current_thread() is not self._threads[-1]:
                return None  # it was left behind
            self._running = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stopped or self._waiting is not None)
            if self._stopped:
                return None
            self._running, self._waiting = self._waiting, None
            return self._running


def _tell(given_up: list[_Task], why: str) -> None:
    for task in given_up:
        task.told(why)
