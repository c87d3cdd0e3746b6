"""Heavy work off the executor's thread, so that a node answers while it computes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from liver_seg_ros.errors import CancelledError
from liver_seg_ros.progress import Cancelled

#: What a worker runs: it is given `cancelled` and raises `CancelledError` soon after that has become true.
Job = Callable[[Cancelled], None]


class Worker:
    """Runs one job at a time on its own thread; a newer job cancels the running one and replaces a waiting one.

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
        self._waiting: Job | None = None
        self._cancel_running: threading.Event | None = None
        self._stopped = False
        # A daemon: a job that does not react to its cancellation must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Run `job` next; returns at once."""
        with self._changed:
            self._cancel()
            self._waiting = job
            self._changed.notify_all()

    def cancel(self) -> None:
        """Ask the running job to stop and forget a waiting one; returns at once."""
        with self._changed:
            self._cancel()

    @property
    def busy(self) -> bool:
        """True while a job runs or waits."""
        with self._changed:
            return self._waiting is not None or self._cancel_running is not None

    def wait_until_idle(self, timeout_s: float) -> bool:
        """True once no job runs or waits, False where that takes longer than `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting is None and self._cancel_running is None, timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """Cancel everything and end the thread; False where it did not end within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._stopped = True
            self._cancel()
            self._changed.notify_all()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def _cancel(self) -> None:
        self._waiting = None
        if self._cancel_running is not None:
            self._cancel_running.set()
        self._changed.notify_all()

    def _run(self) -> None:
        with self._around():
            while (job := self._next_job()) is not None:
                try:
                    job(self._cancel_running.is_set)  # type: ignore[union-attr]  # set by _next_job
                except CancelledError:
                    pass  # asked for, and nothing is left half-done
                except Exception as error:  # noqa: BLE001  the thread's boundary: a bug in one job must not end the node
                    self._on_error(error)

    def _next_job(self) -> Job | None:
        with self._changed:
            self._cancel_running = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stopped or self._waiting is not None)
            if self._stopped:
                return None
            job, self._waiting = self._waiting, None
            self._cancel_running = threading.Event()
            return job
