# SPDX-License-Identifier: Apache-2.0
"""What a run reads, by whatever name it is reached: a link to a file is that file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

#: Device and inode: the same for all names of a file or folder.
_Identity = tuple[int, int]


class Inputs:
    """The files and folders that a run reads. What is not there is passed over: reading it will say so."""

    def __init__(self, paths: Iterable[Path]) -> None:
        found = {path: identity for path in paths if (identity := _identity(path)) is not None}
        self._folders = {path: identity for path, identity in found.items() if path.is_dir()}
        self._files = {identity for path, identity in found.items() if path not in self._folders}

    def is_file(self, path: Path) -> bool:
        """Whether `path` is one of the files."""
        return _identity(path) in self._files

    def is_folder(self, path: Path) -> bool:
        """Whether `path` is one of the folders."""
        return _identity(path) in self._folders.values()

    def hold(self, path: Path) -> bool:
        """Whether the file at `path` lies in one of the folders, at any depth."""
        wanted = _identity(path)
        return wanted is not None and any(
            _identity(inside) == wanted for folder in self._folders for inside in folder.rglob("*")
        )


def _identity(path: Path) -> _Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
