# SPDX-License-Identifier: Apache-2.0
"""What the packages below warn of, said in the log and on the diagnostics of the node that they work for.

They know no ROS: they use Python's `logging`, and libraries below them its `warnings`. Several nodes may share a
process, so each thread says for which one it works.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_PACKAGE = __name__.partition(".")[0]
_PYTHON = logging.getLogger("py.warnings")  # as `logging.captureWarnings` calls it


class Speaker(Protocol):
    """A node that says what it is told. Safe from any thread."""

    def say_library_warning(self, text: str, own: bool) -> None:
        """`own`: of this package or Python's `warnings`, which concern the result; otherwise of another library."""


class _Handler(logging.Handler):
    """Passes records to the speaker of their thread; to all where the thread has none."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._changed = threading.Lock()
        self._speakers: tuple[Speaker, ...] = ()
        self._of_thread = threading.local()
        self._shown_before = warnings.showwarning

    def add(self, speaker: Speaker) -> None:
        with self._changed:
            if not self._speakers:
                logging.getLogger().addHandler(self)
                self._shown_before, warnings.showwarning = warnings.showwarning, _log_warning
            self._speakers = (*self._speakers, speaker)

    def remove(self, speaker: Speaker) -> None:
        with self._changed:
            self._speakers = tuple(other for other in self._speakers if other is not speaker)
            if not self._speakers:
                logging.getLogger().removeHandler(self)
                warnings.showwarning = self._shown_before

    @contextmanager
    def on_behalf_of(self, speaker: Speaker) -> Iterator[None]:
        before = getattr(self._of_thread, "speaker", None)
        self._of_thread.speaker = speaker
        try:
            yield
        finally:
            self._of_thread.speaker = before

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises, as `logging` wants it."""
        try:
            text = " ".join(record.getMessage().split())
            own = record.name.partition(".")[0] == _PACKAGE or record.name == _PYTHON.name
            speaker = getattr(self._of_thread, "speaker", None)
            for listener in self._speakers if speaker is None else (speaker,):
                listener.say_library_warning(text, own)
        except Exception:  # noqa: BLE001  a warning must not end the work that it is about
            self.handleError(record)


_handler = _Handler()

#: From now on this speaker is told, until `remove`.
add = _handler.add
#: This speaker is told no more.
remove = _handler.remove
#: `with on_behalf_of(speaker)`: what this thread does is that speaker's work.
on_behalf_of = _handler.on_behalf_of


def say_again() -> None:
    """Let Python's `warnings` say once more what they said before: the next volume may have the same fault.

    They show a warning once for each line of code that gives it, and forget that whenever their filters change. The
    filter here is what applies to all that no other does anyway.
    """
    warnings.simplefilter("default", append=True)


def _log_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Without the file and line of code that Python would show."""
    _PYTHON.warning("%s", message)
