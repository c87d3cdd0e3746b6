# SPDX-License-Identifier: Apache-2.0
"""A folder that is watched: which CT appeared in it and is complete, each told once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from liver_seg_ros.files.suffixes import ITK_SUFFIXES, NIFTI_SUFFIXES

#: Name, size and time of change of each file that belongs together.
_Look = tuple[tuple[str, int, int], ...]


class FolderWatch:
    """Tells of CT files, and of folders with a DICOM series, that appear in a folder.

    What is there when it is looked at first is known, and not told. An entry is told once it has not changed for a
    while, whatever comes of it; and once more where it has changed since then.

    Args:
        folder: what is watched; it may be missing, or go and come back.
        settled_s: an entry that has not changed for so long is complete.
    """

    def __init__(self, folder: Path, settled_s: float) -> None:
        self.folder = folder
        self._settled_s = settled_s
        self._told: dict[str, _Look] | None = None
        self._seen: dict[str, tuple[_Look, float]] = {}  # and since when it looks like that

    def complete(self, now_s: float) -> Path | None:
        """The entry that has been complete for longest and was not told yet; None where there is none."""
        looks = dict(self._looks())
        if self._told is None:
            self._told = looks
        self._told = {name: look for name, look in self._told.items() if name in looks}
        self._seen = {
            name: self._seen[name] if name in self._seen and self._seen[name][0] == look else (look, now_s)
            for name, look in looks.items()
            if self._told.get(name) != look
        }
        waiting = [(since_s, name) for name, (_, since_s) in self._seen.items() if now_s - since_s >= self._settled_s]
        if not waiting:
            return None
        _, name = min(waiting)
        self._told[name] = self._seen.pop(name)[0]
        return self.folder / name

    def _looks(self) -> Iterator[tuple[str, _Look]]:
        try:
            entries = sorted(self.folder.iterdir())
        except OSError:
            return  # missing for now
        for entry in entries:
            suffix = next((s for s in (*NIFTI_SUFFIXES, *ITK_SUFFIXES) if entry.name.lower().endswith(s)), "")
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                look = _look(Path(root) / name for root, _, names in os.walk(entry) for name in names)
            elif suffix:  # with the voxels of a header, which lie beside it
                stem = entry.name[: -len(suffix)]
                look = _look(other for other in entries if other.name.startswith(stem) and other.is_file())
            else:
                continue
            if look:
                yield entry.name, look


def _look(files: Iterator[Path]) -> _Look:
    found = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue  # it went meanwhile
        found.append((str(file), status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))
