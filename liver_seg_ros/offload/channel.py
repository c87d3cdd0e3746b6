# SPDX-License-Identifier: Apache-2.0
"""One worker process and the way to it, seen from the process that started it."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from liver_seg_ros.errors import CancelledError
from liver_seg_ros.offload.parcels import Parcel, pack, receive
from liver_seg_ros.progress import Cancelled, Progress

#: How often a waiting thread asks whether its work was cancelled.
_POLL_S = 0.05
#: Cancelled work that goes on for so long, inside a library that asks nobody, is left behind.
GRACE_S = 0.2
#: How long a process may take to end when it is asked to; then the kernel ends it.
ENDING_S = 0.3

#: The path is handed on: `-m` would put the working directory first, whatever lies there.
_START = (
    "import sys; sys.path[:] = sys.argv[5:]; from liver_seg_ros.offload.child import main;"
    " main(*map(int, sys.argv[2:5]))"
)


class WorkerLostError(RuntimeError):
    """The worker process ended in the middle of the work. `str(error)` is one line that says how."""


class _RemoteError(Exception):
    """Where an error came from, as the worker process shows it."""


class Channel:
    """Starts a worker process. Any thread may ask it for work; answers of several come side by side.

    Args:
        name: what the process is called in a list of processes.
        niceness: by how much the process gives way to others, 0 to 19.
    """

    def __init__(self, name: str, niceness: int = 0) -> None:
        self._connection, theirs = Pipe()
        lifeline, ours = os.pipe()
        self._lifeline = os.fdopen(ours, "wb", buffering=0)  # the kernel closes it, whatever becomes of us
        files = theirs.fileno(), lifeline
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, name, *map(str, (*files, niceness)), *sys.path],
            pass_fds=files,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a terminal's signals are for us to hear
        )
        theirs.close()
        os.close(lifeline)
        self._sending = threading.Lock()
        self._changed = threading.Lock()
        self._numbers = itertools.count(1)
        self._open: dict[int, queue.SimpleQueue[Parcel]] = {}
        self._working: set[int] = set()  # what the process has begun and not ended, whether or not it is waited for
        self._lost = ""  # how the process ended
        self._is_wanted = True  # until it is asked to end
        self._reader = threading.Thread(target=self._read, name=f"from {name}", daemon=True)
        self._reader.start()
        _living.add(self)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def is_usable(self) -> bool:
        """Whether the process lives and has not more than one piece of cancelled work left to notice it."""
        with self._changed:
            return not self._lost and len(self._working - self._open.keys()) <= 1

    def ask(self, kind: str, content: object, progress: Progress, cancelled: Cancelled) -> Iterator[Any]:
        """The parts of an answer, each as soon as it is there.

        Raises:
            CancelledError: `cancelled()` was true; soon after, whether the worker noticed or not. Or the process was
                asked to end.
            WorkerLostError: the process ended.
            Exception: what the work raised.
        """
        number, parcels = next(self._numbers), queue.SimpleQueue[Parcel]()
        with self._changed:
            self._open[number] = parcels
            self._working.add(number)
            if self._lost:
                parcels.put(Parcel("lost", number, ()))
        ended = False
        try:
            self._send(kind, number, content)
            for parcel in self._until_cancelled(number, parcels, cancelled):
                ended = parcel.kind not in ("part", "progress", "log")
                if parcel.kind == "part":
                    yield parcel.unpack()
                elif parcel.kind == "progress":
                    progress(*parcel.unpack())
                elif parcel.kind == "log":
                    _log(parcel)
                elif parcel.kind == "done":
                    return
                else:
                    raise self._error(parcel)
        finally:
            with self._changed:
                del self._open[number]
            if not ended:
                self._send("cancel", number, None)

    def end(self) -> None:
        """End the process: at once, or after `ENDING_S`."""
        end_all([self])

    def _until_cancelled(
        self, number: int, parcels: queue.SimpleQueue[Parcel], cancelled: Cancelled
    ) -> Iterator[Parcel]:
        told_at = None
        while True:
            if told_at is None and cancelled():
                self._send("cancel", number, None)
                told_at = time.monotonic()
            if told_at is not None and time.monotonic() - told_at > GRACE_S:
                raise CancelledError("cancelled while a library was at work, which ends unheard")
            with suppress(queue.Empty):
                yield parcels.get(timeout=_POLL_S)

    def _error(self, parcel: Parcel) -> BaseException:
        if parcel.kind == "lost":
            return WorkerLostError(self._lost) if self._is_wanted else CancelledError("the worker process was ended")
        error, where = parcel.unpack()
        error.__cause__ = _RemoteError(f"\n{where}")
        return error

    def _send(self, kind: str, number: int, content: object) -> None:
        with pack(content) as packed, self._sending, suppress(OSError):  # where nobody hears it, `_read` says so
            packed.send(self._connection, kind, number)

    def _close(self) -> None:
        self._reader.join()
        self._connection.close()
        self._lifeline.close()

    def _take(self, parcel: Parcel) -> None:
        with self._changed:
            parcels = self._open.get(parcel.number)
            if parcel.kind in ("done", "error"):
                self._working.discard(parcel.number)
        if parcels is not None:
            parcels.put(parcel)
        elif parcel.kind == "log" and parcel.number == 0:  # of a library's own thread
            _log(parcel)

    def _read(self) -> None:
        while True:
            try:
                self._take(receive(self._connection))  # no name here: it would hold labels until the next ones come
            except (EOFError, OSError):
                break
        self._process.kill()  # it can do nothing for us any more
        lost = _in_words(self._process.wait())
        with self._changed:
            self._lost = lost
            for number, parcels in self._open.items():
                parcels.put(Parcel("lost", number, ()))


def end_all(channels: Iterable[Channel] | None = None) -> None:
    """End worker processes, where None all of this process: at once, or after `ENDING_S`."""
    channels = list(_living if channels is None else channels)
    for channel in channels:
        _living.discard(channel)
        channel._is_wanted = False
        channel._send("end", 0, None)
    deadline = time.monotonic() + ENDING_S
    for channel in channels:
        try:
            channel._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            channel._process.kill()
            channel._process.wait()
        channel._close()


def worker_pids() -> list[int]:
    """Of the worker processes of this process."""
    return [channel.pid for channel in list(_living)]


#: Those that were not asked to end.
_living: weakref.WeakSet[Channel] = weakref.WeakSet()


def _log(parcel: Parcel) -> None:
    """Say here what was said there."""
    name, level, text = parcel.unpack()
    logging.getLogger(name).log(level, "%s", text)


def _in_words(returncode: int) -> str:
    how = f"with exit code {returncode}"
    if returncode < 0:
        number = -returncode
        how = f"by {signal.Signals(number).name}" if number in set(signal.Signals) else f"by signal {number}"
        if number == signal.SIGKILL:
            how += " (as where memory runs out)"
    return f"the worker process was ended {how} in the middle of the work; what comes next gets a new one"
