# SPDX-License-Identifier: Apache-2.0
"""Writing atomically: beside the target, renamed when complete, so that no half-written file stays.

What is not finished is remembered until it is, so that a process which is told to end (`signals.py`) takes it away. All
of it lies in a folder for nobody else: once that is gone, a thread that still works cannot make a file there again.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from liver_seg_ros.errors import InputError, WriteError

#: No space, no quota, or more than this process may write (`ulimit -f`).
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: What another process that takes a folder away makes of `mkdir` in it, or of it.
_GONE = (errno.ENOENT, errno.EEXIST)
#: Another thread may go on filling a folder that is being removed, until it finds it gone; and see `_GONE`.
_TRIES = 20
#: How folders of what is not finished are called.
_SCRATCH = re.compile(r"\.liver-seg-[0-9a-f]{8}\.part")

#: Folders of what is half-written, and folders that were made for them, the outer ones first.
_unfinished: list[Path] = []
_made: list[Path] = []
#: Held for moments: while these lists change, and while what belongs together moves to its place.
_moving = threading.RLock()


@contextmanager
def written_beside(path: str | Path) -> Iterator[Path]:
    """Yield a path of the same name beside `path` to write to; it becomes `path` when the block ends without an error.

    The folder of `path` is made where it is missing. When the block fails, nothing is left and a file that was at
    `path` before is untouched.

    Raises:
        InputError: the folder cannot be made or written to, or `path` is a folder.
        WriteError: there is no space.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a file to write. Give a file name.")
    with scratch_in_made_folder(path.parent, path) as scratch, no_space_said(path):
        temporary = scratch / path.name
        try:
            temporary.touch()
        except OSError as error:
            raise _cannot_write(path, error) from error
        yield temporary
        with uninterrupted():
            temporary.replace(path)


def scratch_folder(parent: Path | None = None) -> AbstractContextManager[Path]:
    """A new folder for nobody else, gone when the block ends.

    Args:
        parent: where, on the same disk as what is to be moved out of it; among the system's temporary files for None.

    Raises:
        InputError: `parent` cannot be written to.
        WriteError: there is no space.
    """
    parent = parent or Path(tempfile.gettempdir())
    return _scratch_folder(parent, parent)


@contextmanager
def scratch_in_made_folder(parent: Path, said: Path | None = None) -> Iterator[Path]:
    """A `scratch_folder` in `parent`, made where missing; when the block fails, what was made and is empty is gone.

    Another process may make the same folders, and take them away as its own block fails, between two steps of this one.
    Then they are made again.

    Args:
        parent: where; and those that it is to lie in are made too.
        said: named in messages; `parent` for None.

    Raises:
        InputError: `parent` cannot be made or written to.
        WriteError: there is no space.
    """
    entered, scratch = _entered(parent, said or parent)
    with entered:
        yield scratch


def _entered(parent: Path, said: Path, tries: int = _TRIES) -> tuple[ExitStack, Path]:
    try:
        with ExitStack() as stack:
            stack.enter_context(_made_folder(parent))
            scratch = stack.enter_context(_scratch_folder(parent, said))
            return stack.pop_all(), scratch
    except InputError as error:
        if tries == 1 or not isinstance(error.__cause__, OSError) or error.__cause__.errno not in _GONE:
            raise
    return _entered(parent, said, tries - 1)


@contextmanager
def _made_folder(folder: Path) -> Iterator[None]:
    missing = [path for path in (folder, *folder.absolute().parents) if not os.path.lexists(path)]
    made = missing[::-1]
    try:
        with _moving:  # as below: remembered and made, or neither
            _made.extend(made)
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise _cannot_write(folder, error) from error
        yield
    except BaseException:
        _remove_empty(made)
        raise
    finally:
        with _moving:
            for path in made:
                _made.remove(path)


@contextmanager
def no_space_said(path: Path) -> Iterator[None]:
    """Raise `WriteError` naming `path` where the block found no space to write."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:  # a WriteError has none: it names the very file already
            raise
        raise _cannot_write(path, error) from error


def final_place(path: Path) -> Path:
    """Where what is written at `path` will be in the end; for messages, since nobody knows its temporary place."""
    return Path(*(part for part in path.parts if not _SCRATCH.fullmatch(part)))


def uninterrupted() -> AbstractContextManager[object]:
    """A block in which no signal ends the process: what moves in it moves wholly or not at all. Keep it short."""
    return _moving


def abandon_unfinished() -> None:
    """Take away all that is half-written; for a process that is about to end.

    Waits while something moves to its place. Whoever begins, ends or moves something afterwards waits for good.
    """
    _moving.acquire()
    for path in reversed(_unfinished):
        _remove(path)
    _remove_empty(_made)


def _cannot_write(path: Path, error: OSError) -> InputError | WriteError:
    if error.errno in _FULL:
        return WriteError.of(final_place(path), error.strerror)
    return InputError(f"{final_place(path)}: cannot write here ({error.strerror}). Give another folder.")


@contextmanager
def _scratch_folder(parent: Path, said: Path) -> Iterator[Path]:
    folder = parent / f".liver-seg-{os.urandom(4).hex()}.part"
    try:
        with _moving:  # a signal between the two would remove what is not there yet
            _unfinished.append(folder)
            try:
                folder.mkdir(mode=0o700)
            except OSError as error:
                raise _cannot_write(said, error) from error
        yield folder
    finally:
        with _moving:
            _remove(folder)
            _unfinished.remove(folder)


def _remove(folder: Path) -> None:
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return


def _remove_empty(folders: list[Path]) -> None:
    for folder in reversed(folders):
        with suppress(OSError):  # not empty, or never made
            folder.rmdir()
