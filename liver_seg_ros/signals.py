# SPDX-License-Identifier: Apache-2.0
"""Ending on SIGINT, SIGTERM and SIGHUP: at once, and nothing half-written stays."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
_SHOW_CURSOR = b"\x1b[?25h\n"  # progress bars hide it


def on_stop_signal(act: Callable[[signal.Signals], None]) -> None:
    """Call `act` with the first of `STOP_SIGNALS` that comes, on a thread of its own. For the main thread to call.

    The signal is read from a pipe by that thread, because Python's handlers wait for the main thread, and that one may
    be inside a library for seconds, or raise there into code that swallows or prints what it did not expect. Whoever
    started the process with SIGHUP ignored (`nohup`) wants it ignored.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # replaces the default action; the pipe tells

    def wait() -> None:
        while (number := os.read(reading, 1)[0]) not in STOP_SIGNALS:  # other signals with a handler come here too
            pass
        act(signal.Signals(number))

    threading.Thread(target=wait, name="signals", daemon=True).start()


def end_on_stop_signal(program: str) -> None:
    """From now on one of `STOP_SIGNALS` ends the process: nothing half-written stays, one line, exit code 128 + number.

    Args:
        program: what the line begins with.
    """
    stderr = os.dup(2)  # libraries that print are held back by turning file descriptor 2 elsewhere

    def end(number: signal.Signals) -> None:
        try:
            from liver_seg_ros.atomic import abandon_unfinished  # here: a program is to be heard from its first moment

            abandon_unfinished()
            os.write(stderr, (_SHOW_CURSOR if os.isatty(stderr) else b"") + f"{program}: {_WORDS[number]}\n".encode())
        finally:
            os._exit(128 + number)  # the interpreter's own way out waits for threads

    on_stop_signal(end)
