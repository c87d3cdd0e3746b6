"""Stages of a longer job: each is timed, reported and can be cancelled before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

from liver_seg_ros.progress import Cancelled, Progress, raise_if_cancelled

T = TypeVar("T")


class Stages:
    """The clock of one job.

    Where one stage works inside another, as when slices flow from one to the next, the time counts for the inner one
    only: so the seconds of all stages add up to those of the job.

    Attributes:
        progress: what the job was given; a stage's work reports fractions to it.
        cancelled: what the job was given; a stage's work asks it.
        seconds: wall time of each stage that was begun, in the order in which they began.
    """

    def __init__(self, progress: Progress, cancelled: Cancelled) -> None:
        self.progress = progress
        self.cancelled = cancelled
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []  # the innermost last
        self._since = 0.0  # when the innermost went on

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body as stage `name`. Raises `CancelledError` instead of starting it where that is asked for."""
        raise_if_cancelled(self.cancelled, name)
        self.progress(name, 0.0)
        with self.timed(name):
            yield
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
