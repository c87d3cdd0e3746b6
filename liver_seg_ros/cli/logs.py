# SPDX-License-Identifier: Apache-2.0
"""Warnings of the packages below, as a person reads them: each once, in one line on stderr.

Those of other libraries speak to programmers; they are shown with `--verbose` only.
"""

from __future__ import annotations

import logging
import sys
import warnings

import typer

_OURS = logging.getLogger("liver_seg_ros")
_OTHERS = logging.getLogger("py.warnings")  # as `logging.captureWarnings` calls it


class OnceHandler(logging.Handler):
    """Writes each message once, however often it is logged."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()
        self.addFilter(_is_for_people)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, unless the same was written before."""
        kind = "warning: " if record.levelno >= logging.WARNING else ""
        line = f"liver-seg: {kind}{' '.join(record.getMessage().split())}"
        if line not in self._said:
            self._said.add(line)
            typer.echo(line, file=sys.stderr)


def be_verbose(wanted: bool) -> bool:
    """Let what the packages below merely mention be shown too, and warnings of other libraries."""
    _OURS.setLevel(logging.INFO if wanted else logging.WARNING)
    return wanted


def show_logs() -> None:
    """Write warnings to stderr from now on, those of Python's `warnings` included."""
    logging.basicConfig(handlers=[OnceHandler()])
    warnings.showwarning = _log_warning


def _is_for_people(record: logging.LogRecord) -> bool:
    return record.name.split(".")[0] == _OURS.name or _OURS.isEnabledFor(logging.INFO)


def _log_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Without the file and line of code that Python would show."""
    _OTHERS.warning("%s", message)
