# SPDX-License-Identifier: Apache-2.0
"""What the commands of `training` and `deploy` share: log lines on standard error, exit codes, an end by signals."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from liver_seg_ros.errors import InputError, WriteError
from liver_seg_ros.signals import end_on_stop_signal


def run_command(command: Callable[[], None]) -> int:
    """Run `command` and return the process's exit code: 0 done, 2 the input is at fault, 1 the disk; one line says how.

    A signal that tells the process to end does so at once and leaves nothing half-written; see `signals.py`.
    """
    end_on_stop_signal("liver_seg_ros")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        command()
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except WriteError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def log_steps(threads: int | None = None, quiet: bool = False) -> None:
    """For the commands of `liver-seg`: lines of a training on standard error, with their time, and so many threads.

    Where it is to be `quiet`, warnings alone.
    """
    steps = logging.getLogger("liver_seg_ros.training")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    steps.addHandler(handler)
    steps.setLevel(logging.WARNING if quiet else logging.INFO)
    steps.propagate = False
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
