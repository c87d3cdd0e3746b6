"""What the commands of `training` and `deploy` share: log lines on standard error, and exit code 2 for bad input."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from liver_seg_ros.errors import InputError


def run_command(command: Callable[[], None]) -> int:
    """Run `command` and return the process's exit code: 0 done, 2 the input is at fault (one line says how)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        command()
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0
