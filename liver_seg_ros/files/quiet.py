# SPDX-License-Identifier: Apache-2.0
"""Keeping C libraries off the terminal: codecs print to stdout and stderr what is then raised as one clear error."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

STREAMS = (1, 2)  # file descriptors of stdout and stderr
_libc = ctypes.CDLL(None)
_one_at_a_time = threading.RLock()


@contextmanager
def quiet_on_failure() -> Iterator[None]:
    """Hold back what is printed inside the block; show it after a success, drop it where the block fails.

    What other threads print meanwhile is held back with it, so keep the block short.
    """
    with _one_at_a_time, ExitStack() as opened:
        _flush()
        held = {stream: opened.enter_context(tempfile.TemporaryFile()) for stream in STREAMS}
        saved = {stream: os.dup(stream) for stream in STREAMS}
        try:
            for stream in STREAMS:
                os.dup2(held[stream].fileno(), stream)
            yield
        finally:
            _flush()
            for stream in STREAMS:
                os.dup2(saved[stream], stream)
                os.close(saved[stream])
        for stream in STREAMS:
            held[stream].seek(0)
            os.write(stream, held[stream].read())


def _flush() -> None:
    """Empty the buffers of Python and of C, each of which has its own."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # the process was started without
            stream.flush()
    _libc.fflush(None)
