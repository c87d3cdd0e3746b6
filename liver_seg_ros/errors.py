# SPDX-License-Identifier: Apache-2.0
"""The exceptions that one package raises and another one handles.

Whatever a public function or constructor refuses of what it is given (a broken file, a wrong option, an array of
another shape) is an `InputError` whose message is one line: what is wrong, where, and what to do. One sentence has no
period at its end, several have one each. The command line turns it into exit code 2, a node into a diagnostic.
A `WriteError` is the disk's fault, and one line too. Anything else that escapes is a bug.
"""

from __future__ import annotations

from pathlib import Path


class InputError(ValueError):
    """The input is at fault, not the program. `str(error)` is one line that a user can act on."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class WriteError(OSError):
    """A file could not be written whole; nothing of it stays. `str(error)` is one line that a user can act on."""

    @classmethod
    def of(cls, path: Path, reason: str | None = None) -> WriteError:
        """Of the file or folder `path`; `reason` as the system gives it, where it does."""
        why = reason or "is the disk full?"
        return cls(f"{path}: cannot be written ({why}). Free some space or give another folder.")


class CancelledError(RuntimeError):
    """The caller asked long-running work to stop and it did, leaving nothing half-done."""


def memory_message(error: MemoryError) -> str:
    """One line for a user: NumPy says how much it lacked, runtimes for what, Python itself nothing."""
    message = " ".join(str(error).split())
    return message if message.startswith("too little memory") else f"too little memory. {message}".strip()
