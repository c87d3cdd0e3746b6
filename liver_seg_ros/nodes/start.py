# SPDX-License-Identifier: Apache-2.0
"""How a node's process begins: signals are heard before anything that takes time is imported."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from liver_seg_ros.extras import missing_extra
from liver_seg_ros.signals import on_stop_signal


def hear_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP end the process with exit code 0; `process.run` takes over from here."""
    on_stop_signal(lambda _: os._exit(0))  # nothing has been begun that could stay half-done


def start(node: str) -> None:
    """Import the node of that name and run it until a signal comes: what the executables do.

    `python -m liver_seg_ros.nodes.<node>` does the same by `__init__.py`.
    """
    hear_signals()
    try:
        module = import_module(f"liver_seg_ros.nodes.{node}")
    except ModuleNotFoundError as error:
        told = missing_extra(error)
        if told is None:
            raise
        sys.stderr.write(f"{told}\n")
        sys.exit(2)
    module.main()
