"""Stages of a longer job: each is timed, reported and can be cancelled before it starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from liver_seg_ros.progress import Cancelled, Progress, raise_if_cancelled


class Stages:
    """The clock of one job.

    Attributes:
        progress: what the job was given; a stage's work reports fractions to it.
        cancelled: what the job was given; a stage's work asks it.
        seconds: wall time of each stage that was completed.
    """

    def __init__(self, progress: Progress, cancelled: Cancelled) -> None:
        self.progress = progress
        self.cancelled = cancelled
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body as stage `name`. Raises `CancelledError` instead of starting it where that is asked for."""
        raise_if_cancelled(self.cancelled, name)
        self.progress(name, 0.0)
        started = perf_counter()
        yield
        self.seconds[name] = perf_counter() - started
        self.progress(name, 1.0)
