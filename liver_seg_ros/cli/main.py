# SPDX-License-Identifier: Apache-2.0
"""The command `liver-seg`: where it begins, and how it ends when it is told to.

Exit codes: 0 done; 2 bad input or usage; 1 anything else, `segment` finding no liver included; where a signal ended it,
128 and its number: 130 after SIGINT (Ctrl-C), 143 after SIGTERM, 129 after SIGHUP.

Nothing that takes time is imported before signals are heard.
"""

from __future__ import annotations

import atexit
import io
import os
import sys
from collections.abc import Sequence

from liver_seg_ros.signals import end_on_stop_signal


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name); returns the exit code. Errors become one line on stderr."""
    from liver_seg_ros.cli.app import run_app

    return run_app(arguments)


def main() -> None:
    """The console script's entry point."""
    codes: list[int] = []
    atexit.register(_leave, codes)  # of all that is to be done at the end the first is done last
    _open_what_is_closed()
    end_on_stop_signal("liver-seg")
    from liver_seg_ros.cli.logs import show_logs

    show_logs()
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show ends no command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    codes.append(run(sys.argv[1:]))
    sys.exit(codes[0])


def _leave(codes: list[int]) -> None:
    """End the process, where it has an exit code, when all else that is to be done at the end was done.

    The interpreter would go on and take apart what the system takes back at once: a third of a second after Open3D.
    """
    if not codes:
        return
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # the reader is gone, or the disk full: Python says so, and has a code for it
            return
    os._exit(codes[0])


def _open_what_is_closed() -> None:
    """Where the caller closed a standard stream (`>&-`), the next file opened would take its place."""
    for stream in (0, 1, 2):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


if __name__ == "__main__":
    main()
