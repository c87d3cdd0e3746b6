# SPDX-License-Identifier: Apache-2.0
"""The folder that a command writes: all of its files appear together at the end, or none does.

What is in the way is told before the work begins. An input of the run is never replaced; any other file only where the
same command wrote it there, and nobody changed it since, or where the user says so (`--overwrite`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from liver_seg_ros.atomic import no_space_said, scratch_folder, scratch_in_made_folder, uninterrupted
from liver_seg_ros.errors import InputError
from liver_seg_ros.outputs.inputs import Inputs
from liver_seg_ros.outputs.record import RECORD, Written, is_unchanged, read_record, write_record, written_by


def check_folder(folder: Path, option: str) -> None:
    """Raise `InputError`, or `WriteError` for want of space, where files could not be written into `folder`.

    It is tried, as permissions do not tell everything, and nothing of it stays.

    Args:
        folder: need not be there.
        option: of the command line, that names it.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not existing.is_dir() and os.path.lexists(existing):  # it may go in between: see `scratch_in_made_folder`
        what = "leads nowhere" if existing.is_symlink() and not existing.exists() else "is a file"
        raise InputError(
            f"output '{folder}' cannot be a folder: '{existing}' {what}; choose another folder with {option}"
        )
    with suppress(_TriedError), scratch_in_made_folder(folder):
        raise _TriedError


class ResultFolder:
    """Where one run of a command puts its files. Made before the work; nothing is written until `filled`.

    Args:
        folder: made where it is missing.
        command: its name, under which the folder's record lists its files.
        names: of all files that the run may write.
        inputs: files and folders that it reads; None is passed over.
        overwrite: whether files that the command did not write may be replaced.
        option: of the command line, or field of a request, that names the folder.
        replacing: that which allows `overwrite`.

    Raises:
        InputError: the folder cannot be made or written to, is an input, or holds a file that must not be replaced.
    """

    def __init__(
        self,
        folder: Path,
        command: str,
        names: Iterable[str],
        inputs: Iterable[Path | None] = (),
        overwrite: bool = False,
        option: str = "-o",
        replacing: str = "--overwrite",
    ) -> None:
        self._replacing = replacing
        self._folder, self._command, self._overwrite = folder, command, overwrite
        self._instead = f"choose another folder with {option}"
        self._names = tuple(names)
        self._inputs = Inputs(path for path in inputs if path is not None)
        check_folder(folder, option)
        if self._inputs.is_folder(folder):
            raise InputError(f"output '{folder}' is an input of this run; {self._instead}")
        self._check_files()

    @contextmanager
    def filled(self) -> Iterator[Path]:
        """A temporary folder whose files move to their place when the block ends well.

        An exception or a signal leaves everything as it was. Files of an earlier run of the same command that this one
        did not write are removed: they would be taken for its results.

        Raises:
            InputError: as above, where something came in the way during the work.
            WriteError: there is no space.
        """
        with no_space_said(self._folder), scratch_in_made_folder(self._folder) as scratch:
            yield scratch
            written = sorted(path.name for path in scratch.iterdir())
            if unknown := set(written).difference(self._names):
                raise RuntimeError(f"written, but not among the names that were checked: {', '.join(sorted(unknown))}")
            self._check_files()
            self._move(scratch, written)

    def _move(self, scratch: Path, written: Sequence[str]) -> None:
        record = read_record(self._folder)
        own = [name for name in record if self._is_own(name, record)]
        stale = {*own, *(self._names if self._overwrite else ())}.difference(written)
        kept = {name: entry for name, entry in record.items() if entry.command != self._command and name not in written}
        write_record(scratch, kept | {name: written_by(self._command, scratch / name) for name in written})
        with scratch_folder(self._folder) as replaced, uninterrupted():
            moves = _Moves()
            try:
                for name in (*written, RECORD, *stale):
                    if os.path.lexists(self._folder / name):
                        moves.move(self._folder / name, replaced / name)
                for name in (*written, RECORD):
                    moves.move(scratch / name, self._folder / name)
            except BaseException:
                moves.undo()
                raise

    def _check_files(self) -> None:
        record = read_record(self._folder)
        in_the_way = [name for name in self._names if os.path.lexists(self._folder / name)]
        for name in in_the_way:
            path = self._folder / name
            if self._inputs.is_file(path):
                raise InputError(f"output '{path}' is an input of this run; {self._instead}")
            if path.is_dir():
                raise InputError(f"output '{path}' is a folder where a file goes; move it away")
        foreign = [name for name in in_the_way if not self._is_own(name, record)]
        if foreign and not self._overwrite:
            raise InputError(
                f"output '{self._folder / foreign[0]}' {self._whose(foreign[0], record)}{_and_more(len(foreign) - 1)}; "
                f"{self._instead}, or replace it with {self._replacing}"
            )
        for name in foreign:
            if self._inputs.hold(self._folder / name):
                raise InputError(f"output '{self._folder / name}' is in an input folder of this run; {self._instead}")

    def _is_own(self, name: str, record: dict[str, Written]) -> bool:
        entry = record.get(name)
        return entry is not None and entry.command == self._command and is_unchanged(self._folder / name, entry)

    def _whose(self, name: str, record: dict[str, Written]) -> str:
        entry = record.get(name)
        if entry is None:
            return f"was not written by '{self._command}'"
        if entry.command != self._command:
            return f"was written by '{entry.command}', not '{self._command}'"
        return f"was changed since '{self._command}' wrote it"


class _TriedError(Exception):
    """Ends a trial, so that nothing of it stays."""


class _Moves:
    """Files that were moved, and can be moved back."""

    def __init__(self) -> None:
        self._done: list[tuple[Path, Path]] = []

    def move(self, source: Path, target: Path) -> None:
        source.rename(target)
        self._done.append((source, target))

    def undo(self) -> None:
        for source, target in reversed(self._done):
            target.rename(source)


def _and_more(count: int) -> str:
    return f" (and {count} more)" if count else ""
