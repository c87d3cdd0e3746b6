# SPDX-License-Identifier: Apache-2.0
"""What the tests have done in worker processes, which import it as a module of its own."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
import time
import warnings
from pathlib import Path

import numpy as np

from liver_seg_ros.errors import InputError
from liver_seg_ros.progress import raise_if_cancelled


class OddError(Exception):
    """Cannot be copied by pickle."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


class OddInputError(InputError):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


class Work:
    def __init__(self, file, progress, cancelled):
        self.made = Path(file).read_text()

    def pid(self, progress, cancelled):
        yield os.getpid(), self.made

    def thread(self, progress, cancelled):
        yield threading.get_native_id()

    def fill(self, megabytes, progress, cancelled):
        filled = [np.ones(1_000_000, np.uint8) for _ in range(megabytes)]
        kept = np.ones(1_000_000, np.uint8)  # behind all that is freed
        del filled
        self.kept = kept
        yield None

    def negative(self, volumes, progress, cancelled):
        for volume in volumes:
            yield [-volume, volume.flags.writeable]

    def tell(self, progress, cancelled):
        for step in range(3):
            progress("counting", step / 2)
        logging.getLogger("liver_seg_ros.somewhere").warning("a %s", "doubt")
        warnings.warn("that is odd", stacklevel=1)
        yield None

    def fail(self, what, progress, cancelled):
        yield 1
        if what == "input":
            raise InputError("the input is at fault")
        if what == "odd":
            raise OddError("this", "that")
        if what == "odd input":
            raise OddInputError("here", "there")
        np.empty(1 << 50)

    def die(self, progress, cancelled):
        yield 1
        os.kill(os.getpid(), signal.SIGKILL)

    def hold_python(self, seconds, folder, progress, cancelled):
        """As a library that asks nobody and lets nobody else in."""
        (Path(folder) / "holding").write_text(str(os.getpid()))
        ctypes.PyDLL(None).usleep(int(seconds * 1e6))
        yield None

    def obey(self, progress, cancelled):
        while True:
            progress("waiting", 0.5)
            raise_if_cancelled(cancelled, "waiting")
            time.sleep(0.01)
        yield None
