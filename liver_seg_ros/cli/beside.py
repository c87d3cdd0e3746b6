# SPDX-License-Identifier: Apache-2.0
"""Work that is begun on a thread of its own while the command does something else, such as loading while reading."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from types import TracebackType
from typing import Generic, TypeVar

from liver_seg_ros.progress import Cancelled, Progress

T = TypeVar("T")


class Beside(Generic[T]):
    """`work(progress, cancelled)`, begun where the body of `with` begins; `result` waits for it.

    What it tells of its progress is heard from when somebody waits for it. Where the body ends without having asked, as
    by an error, the work is told that it is cancelled and left behind.
    """

    def __init__(self, work: Callable[[Progress, Cancelled], T], progress: Progress) -> None:
        self._awaited, self._unwanted = Event(), Event()
        self._future: Future[T] = Future()

        def told(stage: str, fraction: float) -> None:
            if self._awaited.is_set():
                progress(stage, fraction)

        def run() -> None:
            try:
                self._future.set_result(work(told, self._unwanted.is_set))
            except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
                self._future.set_exception(error)

        # No executor's: the interpreter waits for their threads at its end, and this one may be left behind.
        self._thread = Thread(target=run, name="beside", daemon=True)

    def __enter__(self) -> Beside[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unwanted.set()

    def result(self) -> T:
        """What the work gave, once it has; raises what it raised."""
        self._awaited.set()
        return self._future.result()
