# SPDX-License-Identifier: Apache-2.0
"""How long-running work reports progress, is timed, and learns that it was cancelled: the same in every package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import perf_counter
from typing import TypeVar

from liver_seg_ros.errors import CancelledError

T = TypeVar("T")

#: Called as `progress(stage, fraction)`: the stage's name and how much of that stage is done, 0.0 to 1.0.
Progress = Callable[[str, float], None]

#: Called as `done(fraction)` by work that is a part of a stage: how much of that part is done, 0.0 to 1.0.
Done = Callable[[float], None]

#: Called between units of work (a window, a structure); True asks the work to stop.
Cancelled = Callable[[], bool]


def no_progress(stage: str, fraction: float) -> None:
    """The default `Progress`: says nothing."""


def not_told(fraction: float) -> None:
    """The default `Done`: says nothing."""


def never_cancelled() -> bool:
    """The default `Cancelled`: runs to the end."""
    return False


def raise_if_cancelled(cancelled: Cancelled, stage: str) -> None:
    """Raise `CancelledError` naming `stage` when `cancelled()` is true."""
    if cancelled():
        raise CancelledError(f"cancelled during {stage}")


def part_of(done: Done, begin: float, end: float) -> Done:
    """A `Done` for work that is the part from `begin` to `end` of what `done` is told of, both 0.0 to 1.0."""
    return lambda fraction: done(begin + fraction * (end - begin))


def approaching(done: Done, share: float = 0.2) -> Callable[[], None]:
    """For work of nobody knows how many steps: called after each step, it tells that `share` of the rest is done."""
    left = 1.0

    def step() -> None:
        nonlocal left
        left *= 1 - share
        done(1 - left)

    return step


class Stages:
    """The clock of one job: each stage is timed, reported, and can be cancelled before it starts.

    Where one stage works inside another, as when slices flow from one to the next, the time counts for the inner one
    only: so the seconds of all stages add up to those of the job.

    Attributes:
        progress: what the job was given; a stage's work reports fractions to it.
        cancelled: what the job was given; a stage's work asks it.
        seconds: wall time of each stage that was begun, in the order in which they began.
    """

    def __init__(self, progress: Progress = no_progress, cancelled: Cancelled = never_cancelled) -> None:
        self.progress = progress
        self.cancelled = cancelled
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []  # the innermost last
        self._since = 0.0  # when the innermost went on

    @contextmanager
    def stage(self, name: str) -> Iterator[Done]:
        """Time the body as stage `name`; it may tell how far it is.

        Raises `CancelledError` instead of starting it where that is asked for.
        """
        raise_if_cancelled(self.cancelled, name)
        self.progress(name, 0.0)
        with self.timed(name):
            yield lambda fraction: self.progress(name, fraction)
        self.progress(name, 1.0)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the body's time to stage `name`, without a word to `progress`."""
        self._switch()
        self._running.append(name)
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            self._switch()
            self._running.pop()

    def timed_each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """`items`, the making of each counted for stage `name`."""
        iterator = iter(items)
        while True:
            with self.timed(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def _switch(self) -> None:
        """Give the time since the last switch to the stage that ran."""
        now = perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


class StagesBeside:
    """The clock of a job whose stages run beside each other, in several threads.

    While n of them run each is given the n-th part of the time: so the seconds of all stages add up to those in which
    there was any.

    Attributes:
        seconds: of each stage, in the order in which they began.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: Counter[str] = Counter()
        self._since = 0.0
        self._lock = Lock()

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count the body's time for stage `name`."""
        self._change(name, 1)
        try:
            yield
        finally:
            self._change(name, -1)

    def _change(self, name: str, by: int) -> None:
        with self._lock:
            now, count = perf_counter(), self._running.total()
            for running, times in self._running.items():
                self.seconds[running] += (now - self._since) * times / count
            self._since = now
            self.seconds.setdefault(name, 0.0)
            self._running[name] += by
            self._running = +self._running  # without those that have ended
