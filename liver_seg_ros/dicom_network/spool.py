# SPDX-License-Identifier: Apache-2.0
"""The spool: what arrived, on disk before it is answered for, whatever ends the process.

    incoming/<series>/<instance>.dcm   series that are not complete
    complete/<series>/<instance>.dcm   complete ones, for whoever watches this folder
    aside/<digest>.dcm, .txt           what was not taken, and why
    handed/<series>                    complete series that a command was run for
    steps/<step>.json                  what modalities told of their work

Files appear whole (written beside, synced, renamed). Their names are UIDs, which were checked to be some.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liver_seg_ros.atomic import no_space_said, scratch_folder, written_beside
from liver_seg_ros.dicom_network.arrived import Arrived, is_uid
from liver_seg_ros.dicom_network.limits import MB, ReceiveLimits
from liver_seg_ros.errors import InputError
from liver_seg_ros.outputs.folder import check_folder

#: How often the spool's size is looked up anew; in between, what is written is added.
_LOOK_S = 5.0
_HALF_WRITTEN = ".liver-seg-*.part"


class Spool:
    """The folder of a receiver; see the module. For one process and its threads.

    Raises `InputError` or `WriteError` where the folder cannot be written to, or another process has it.
    """

    def __init__(self, folder: Path, limits: ReceiveLimits) -> None:
        self.folder = folder
        self._limits = limits
        self.incoming, self.complete, self.aside, self.handed, self.steps = (
            folder / name for name in ("incoming", "complete", "aside", "handed", "steps")
        )
        check_folder(folder, "SPOOL")
        for part in (self.incoming, self.complete, self.aside, self.handed, self.steps):
            part.mkdir(parents=True, exist_ok=True)
        self._alone = _locked(folder)
        for leftover in folder.rglob(_HALF_WRITTEN):  # of a process that was killed; nobody was answered for it
            shutil.rmtree(leftover, ignore_errors=True)
        self._lock = threading.Lock()
        self._used, self._looked_s = 0, float("-inf")

    def close(self) -> None:
        """Leave the spool to others."""
        if self._alone >= 0:
            os.close(self._alone)
            self._alone = -1

    def has_room(self, for_bytes: int = 0) -> bool:
        """Whether so much more can be taken."""
        with self._lock:
            if self._limits.spool_mb is not None:
                if time.monotonic() - self._looked_s > _LOOK_S:
                    self._used, self._looked_s = _size(self.folder), time.monotonic()
                if self._used + for_bytes > self._limits.spool_mb * MB:
                    return False
            free = shutil.disk_usage(self.folder).free
            return free - for_bytes >= self._limits.keep_free_mb * MB

    def has(self, arrived: Arrived) -> bool:
        """Whether the object is here already."""
        name = _name(arrived)
        return any((part / arrived.series_uid / name).exists() for part in (self.incoming, self.complete))

    @contextmanager
    def staged(self, data: bytes) -> Iterator[Path]:
        """A file with `data`, on disk, gone when the block ends. Raises `WriteError` where there is no space."""
        with scratch_folder(self.incoming) as scratch, no_space_said(self.incoming):
            path = scratch / "object"
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield path

    def place(self, staged: Path, arrived: Arrived) -> bool:
        """Put a staged object into its series, for good once this returns; False where it is here already.

        Not while its series is finished. Raises `OSError` where that cannot be.
        """
        folder = self.incoming / arrived.series_uid
        folder.mkdir(exist_ok=True)
        if self.has(arrived):
            return False
        os.link(staged, folder / _name(arrived))
        _sync(folder)
        with self._lock:
            self._used += staged.stat().st_size
        return True

    def put_aside(self, data: bytes, reason: str) -> bool:
        """Keep what was not taken, with the reason; whether it was kept. Raises `WriteError` for want of space."""
        path = self.aside / f"{hashlib.sha256(data).hexdigest()[:24]}.dcm"
        if sum(1 for _ in self.aside.glob("*.dcm")) >= self._limits.set_aside or not self.has_room(len(data)):
            return False
        with written_beside(path.with_suffix(".txt")) as beside:
            beside.write_text(f"{reason}\n", encoding="utf-8")
        with written_beside(path) as beside:
            beside.write_bytes(data)
        return True

    def finish(self, series_uid: str) -> Path:
        """Move a series to those that are complete; to what is there of it already, where more has come."""
        source, target = self.incoming / series_uid, self.complete / series_uid
        target.mkdir(exist_ok=True)
        for path in source.glob("*.dcm"):
            path.replace(target / path.name)
        _sync(target)
        if source.is_dir():
            source.rmdir()
        return target

    def objects(self) -> Iterator[Path]:
        """All objects that are here, of series that are complete and of those that are coming."""
        for part in (self.complete, self.incoming):
            yield from part.glob("*/*.dcm")

    def files_of(self, series_uid: str) -> list[Path]:
        """The objects that are here of a series that is coming."""
        return sorted((self.incoming / series_uid).glob("*.dcm"))

    def unfinished(self) -> Iterator[str]:
        """Series that were coming when the last process ended."""
        yield from (path.name for path in sorted(self.incoming.iterdir()) if path.is_dir() and is_uid(path.name))

    def not_handed(self) -> Iterator[Path]:
        """Complete series for which no command ended, or of which more has come since."""
        for folder in sorted(self.complete.iterdir()):
            marker = self.handed / folder.name
            said = marker.read_text("ascii").split() if marker.is_file() else []
            if folder.is_dir() and said[:1] != [str(self.count(folder))]:
                yield folder

    def hand(self, folder: Path, count: int, exit_code: int) -> None:
        """Note that a command ended for the first `count` objects of a complete series."""
        with written_beside(self.handed / folder.name) as beside:
            beside.write_text(f"{count} {exit_code}\n", encoding="ascii")

    def remove(self, folder: Path, count: int) -> None:
        """Delete a complete series, unless more than its `count` objects are there by now."""
        if self.count(folder) == count and not (self.incoming / folder.name).exists():
            self.forget(folder.name)

    def series(self) -> set[str]:
        """All that something is here of, by UID."""
        return {path.name for part in (self.incoming, self.complete) for path in part.iterdir() if is_uid(path.name)}

    def forget(self, series_uid: str) -> None:
        """Delete all that is here of a series."""
        for part in (self.incoming, self.complete):
            shutil.rmtree(part / series_uid, ignore_errors=True)
        (self.handed / series_uid).unlink(missing_ok=True)
        self._looked_s = float("-inf")

    @staticmethod
    def count(folder: Path) -> int:
        """How many objects lie in the folder of a series; 0 where there is none."""
        return sum(1 for _ in folder.glob("*.dcm"))


def _locked(folder: Path) -> int:
    """A descriptor that holds the spool for this process until it ends, however that is."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise InputError(f"{folder}: another process works in this spool. End it, or give another folder.") from error
    return descriptor


def _name(arrived: Arrived) -> str:
    return f"{arrived.instance_uid}.dcm"


def _sync(folder: Path) -> None:
    """Have the names in `folder` on disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(folder: Path) -> int:
    size = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                size += (Path(root) / name).stat().st_size
            except OSError:  # taken away meanwhile
                continue
    return size
