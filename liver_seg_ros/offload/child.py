# SPDX-License-Identifier: Apache-2.0
"""What the process of a `WorkerProcess` does: it works until the process that started it ends, or wants it to."""

from __future__ import annotations

import fcntl
import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from liver_seg_ros.atomic import abandon_unfinished
from liver_seg_ros.malloc import give_back_freed_memory
from liver_seg_ros.offload.parcels import Parcel, pack, receive

#: More than the other process lets be at work, left behind or not.
_MOST_THREADS = 8
_SHORTEST_INTERVAL_S = 0.02  # between two words of progress


def main(connection: int, lifeline: int, niceness: int) -> NoReturn:
    """Serve the process at the other end of a connection.

    Args:
        connection: its file descriptor.
        lifeline: that of a pipe which nobody writes to and which only the other process holds open.
        niceness: by how much this process gives way to others.
    """
    _die_with(lifeline)
    _give_way(niceness)
    _Child(Connection(connection)).serve()


class _Child:
    """Does work beside work, so that a cancelled piece which does not notice delays no other."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._cancelled: dict[int, threading.Event] = {}
        # The same thread again where it is free: each new one would have the C library keep memory of its own.
        self._threads = ThreadPoolExecutor(_MOST_THREADS)
        self._making = threading.Lock()
        self._kept: Any = None  # what `make` made
        self._here = threading.local()  # .number: of the work that this thread does
        logging.getLogger().addHandler(_Forward(self._say))
        warnings.showwarning = _log_warning

    def serve(self) -> NoReturn:
        while True:
            try:
                self._take(receive(self._connection))  # no name here: it would hold a CT until the next one comes
            except (EOFError, OSError):
                _end()

    def _take(self, parcel: Parcel) -> None:
        if parcel.kind == "end":
            _end()
        elif parcel.kind == "cancel":
            if parcel.number in self._cancelled:
                self._cancelled[parcel.number].set()
        else:
            self._cancelled[parcel.number] = threading.Event()
            self._threads.submit(self._work_alone_or_not, parcel)

    def _work_alone_or_not(self, parcel: Parcel) -> None:
        self._work(parcel)
        del parcel
        if not self._cancelled:  # nothing else is at work; the CT and all that was made of it are gone
            give_back_freed_memory()

    def _work(self, parcel: Parcel) -> None:
        number = self._here.number = parcel.number
        # Python says a warning once for each place; the next volume may have the same fault.
        warnings.simplefilter("default", append=True)
        told = {"progress": self._progress(number), "cancelled": self._cancelled[number].is_set}
        try:
            function, args = parcel.unpack()
            if parcel.kind == "make":
                with self._making:
                    if self._kept is None:
                        self._kept = function(*args, **told)
            else:
                for part in function(self._kept, *args, **told):
                    self._send("part", number, part)
            self._send("done", number, None)
        except BaseException as error:  # noqa: BLE001  it is for the other process to judge
            self._send("error", number, _portable(error))
        finally:
            del self._cancelled[number]

    def _progress(self, number: int) -> Callable[[str, float], None]:
        said_at = -_SHORTEST_INTERVAL_S

        def say(stage: str, fraction: float) -> None:
            nonlocal said_at
            now = time.monotonic()
            if not 0.0 < fraction < 1.0 or now - said_at >= _SHORTEST_INTERVAL_S:
                said_at = now
                self._send("progress", number, (stage, float(fraction)))

        return say

    def _say(self, name: str, level: int, text: str) -> None:
        self._send("log", getattr(self._here, "number", 0), (name, level, text))

    def _send(self, kind: str, number: int, content: object) -> None:
        with pack(content) as packed, self._sending:
            packed.send(self._connection, kind, number)


class _Forward(logging.Handler):
    """Passes on warnings and errors of the packages that work here."""

    def __init__(self, say: Callable[[str, int, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._say(record.name, record.levelno, record.getMessage())
        except Exception:  # noqa: BLE001  as `logging` wants it: a warning must not end the work that it is about
            self.handleError(record)


def _log_warning(message: Warning | str, *_: object, **__: object) -> None:
    logging.getLogger("py.warnings").warning("%s", message)


def _portable(error: BaseException) -> tuple[BaseException, str]:
    """The error, or the nearest kind of it that can be sent and says the same; and where it came from."""
    where = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    text = str(error)
    for kind in type(error).__mro__:
        if kind in (Exception, BaseException):
            break
        with suppress(Exception):  # whatever a library's exception does when it is made or copied
            same = error if kind is type(error) else kind(text)
            if str(pickle.loads(pickle.dumps(same))) == text:  # noqa: S301  what was pickled here
                return same, where
    return RuntimeError(f"{type(error).__name__}: {text}"), where


def _die_with(lifeline: int) -> None:
    """Have the kernel end this process once the pipe's other end is closed, even if a library holds all of Python.

    What `prctl` offers for this is bound to the thread that started this process, and threads end.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not hasattr(fcntl, "F_SETSIG"):  # not Linux: the end of the connection is noticed when Python is free
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    try:
        gone = os.read(lifeline, 1) == b""  # before the kernel was asked
    except BlockingIOError:
        return
    if gone:
        _end()


def _give_way(niceness: int) -> None:
    if not niceness:
        return
    os.nice(niceness)
    # Where the kernel shares the processor between sessions, as desktops do, niceness counts inside a session only, and
    # this process has a session of its own. Elsewhere the file is missing or takes no effect.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)))


def _end() -> NoReturn:
    """Leave now; nothing half-written stays."""
    abandon_unfinished()
    sys.stdout.flush()
    os._exit(0)
