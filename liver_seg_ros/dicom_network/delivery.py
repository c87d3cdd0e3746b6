# SPDX-License-Identifier: Apache-2.0
"""Running a command for each complete series, one after another, and again where the process ended before it did."""

from __future__ import annotations

import logging
import queue
import shlex
import subprocess
import threading
from pathlib import Path

from liver_seg_ros.dicom_network.spool import Spool
from liver_seg_ros.errors import InputError

#: What a command may hold: the series' folder, and its UID, which is fit for the name of a folder.
PLACES = ("{folder}", "{series}")

_log = logging.getLogger(__name__)


class Delivery:
    """A queue of complete series and a thread that runs the command for each.

    Args:
        spool: series in it that were not handed to a command yet come first.
        command: as one would type it; no shell sees it. `PLACES` are filled in.

    Raises:
        InputError: the command is empty, or its quotation marks do not match.
    """

    def __init__(self, spool: Spool, command: str) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise InputError(f"the command '{command}' cannot be understood: {error}") from error
        if not self._words:
            raise InputError("the command to run is empty; give one or leave it out")
        self._spool = spool
        self._waiting: queue.Queue[Path] = queue.Queue()
        for folder in spool.not_handed():
            self._waiting.put(folder)
        threading.Thread(target=self._work, name="delivery", daemon=True).start()

    def __call__(self, folder: Path) -> None:
        """Run the command for a series, once those before it are done."""
        self._waiting.put(folder)

    def wait(self) -> None:
        """Until the command has ended for all."""
        self._waiting.join()

    def _work(self) -> None:
        while True:
            folder = self._waiting.get()
            try:
                self._run(folder)
            except OSError as error:
                _log.warning("series %s: %s cannot be run (%s)", folder.name, self._words[0], error.strerror)
            finally:
                self._waiting.task_done()

    def _run(self, folder: Path) -> None:
        if not folder.is_dir():
            return  # someone has taken it
        count = self._spool.count(folder)
        places = dict(zip(PLACES, (str(folder), folder.name), strict=True))
        words = [_filled(word, places) for word in self._words]
        exit_code = subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode
        if exit_code:
            _log.warning("series %s: %s ended with %d", folder.name, self._words[0], exit_code)
        self._spool.hand(folder, count, exit_code)


def _filled(word: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        word = word.replace(place, value)
    return word
