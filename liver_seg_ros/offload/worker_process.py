# SPDX-License-Identifier: Apache-2.0
"""An object that lives in a worker process, and what its methods give; or in this process, behind the same door."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from liver_seg_ros.offload.channel import Channel
from liver_seg_ros.progress import Cancelled, Progress, never_cancelled, no_progress

T = TypeVar("T")


class Workplace(Protocol):
    """Where an object lives and works. `make` and its methods take `progress` and `cancelled` besides their arguments.

    Whatever these raise is raised here too, as it is.
    """

    def begin(self) -> None:
        """Have the object made; returns at once where that is elsewhere."""

    def wait_until_made(self, progress: Progress = no_progress, cancelled: Cancelled = never_cancelled) -> None:
        """Have the object made where it is not, and wait for it."""

    def run(
        self,
        method: Callable[..., Iterator[T]],
        *args: object,
        progress: Progress = no_progress,
        cancelled: Cancelled = never_cancelled,
    ) -> Iterator[T]:
        """What the object's generator `method` gives for `args`, each part as soon as it is there."""

    def close(self) -> None:
        """Let go of the object. It is made again where it is wanted again."""


class WorkerProcess:
    """A `Workplace` in a process of its own. Any thread may use it.

    Cancelled work ends here soon (`channel.GRACE_S`), whether or not a library notices. Where the process ends, what
    runs raises `WorkerLostError`, and what comes next gets a new process with a new object.

    Args:
        name: what the process is called in a list of processes.
        make: a class or function on a module's top level. It, its arguments, and all that methods are given and give
            are pickled; arrays are not copied into the pickle.
        args: of `make`.
        niceness: by how much the process gives way to others, 0 to 19.
    """

    def __init__(self, name: str, make: Callable[..., object], *args: object, niceness: int = 0) -> None:
        self._name, self._niceness = name, niceness
        self._wanted = (make, args)
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._made_in: Channel | None = None

    def begin(self) -> None:
        """Start the process; it imports and makes the object meanwhile."""
        threading.Thread(target=self._try_to_make, name=f"begin {self._name}", daemon=True).start()

    def wait_until_made(self, progress: Progress = no_progress, cancelled: Cancelled = never_cancelled) -> None:
        """Have the object made where it is not, and wait for it."""
        self._made(progress, cancelled)

    def run(
        self,
        method: Callable[..., Iterator[T]],
        *args: object,
        progress: Progress = no_progress,
        cancelled: Cancelled = never_cancelled,
    ) -> Iterator[T]:
        """What `method` gives, made by the process while the caller deals with the part before."""
        yield from self._made(progress, cancelled).ask("run", (method, args), progress, cancelled)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.end()

    def _made(self, progress: Progress, cancelled: Cancelled) -> Channel:
        """A process that has the object."""
        channel = self._usable()
        if self._made_in is not channel:
            for _ in channel.ask("make", self._wanted, progress, cancelled):
                pass
            self._made_in = channel
        return channel

    def _try_to_make(self) -> None:
        with suppress(Exception):  # whoever waits for the object has it tried again, and is told
            self._made(no_progress, never_cancelled)

    def _usable(self) -> Channel:
        with self._lock:
            if self._channel is not None and not self._channel.is_usable:
                self._channel.end()
                self._channel = None
            if self._channel is None:
                self._channel = Channel(self._name, self._niceness)
            return self._channel


class SameProcess:
    """A `Workplace` in this process: easier to debug and to profile, and whoever else is here waits for libraries.

    Args:
        make: a class or function.
        args: its arguments.
    """

    def __init__(self, make: Callable[..., object], *args: object) -> None:
        self._wanted = (make, args)
        self._lock = threading.Lock()
        self._object: Any = None

    def begin(self) -> None:
        """Nothing: it would take this process's time."""

    def wait_until_made(self, progress: Progress = no_progress, cancelled: Cancelled = never_cancelled) -> None:
        """Make the object where it is not made."""
        self._made(progress, cancelled)

    def run(
        self,
        method: Callable[..., Iterator[T]],
        *args: object,
        progress: Progress = no_progress,
        cancelled: Cancelled = never_cancelled,
    ) -> Iterator[T]:
        """What `method` gives."""
        yield from method(self._made(progress, cancelled), *args, progress=progress, cancelled=cancelled)

    def close(self) -> None:
        """Forget the object."""
        self._object = None

    def _made(self, progress: Progress, cancelled: Cancelled) -> Any:
        with self._lock:
            if self._object is None:
                make, args = self._wanted
                self._object = make(*args, progress=progress, cancelled=cancelled)
            return self._object
