# SPDX-License-Identifier: Apache-2.0
"""Arrays under a name in POSIX shared memory, for other processes of this host; free of ROS.

A segment belongs to the process that made it, which holds a lock on it as long as it lives. Whoever can lock one knows
that its owner is gone and may remove it: process numbers say nothing across containers, or once they are used again.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError

FOLDER = Path("/dev/shm")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PREFIX = "liver_seg_volume_"
#: No folder, no way out of ours, no hidden file.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
#: Where the array begins: behind the number that says which one it is.
DATA_OFFSET_BYTES = 64
_GENERATION_BYTES = 8
#: Most that Linux writes or reads at once.
_MOST_AT_ONCE = 1 << 30


class SegmentGoneError(InputError):
    """The segment is not there: its owner has ended or has a newer one, or lives on another host."""


@dataclass(frozen=True)
class Place:
    """Where an array lies.

    Attributes:
        segment: its name.
        segment_bytes: its size.
        data_offset_bytes: where in it the array begins.
        generation: the number that it begins with.
        boot_id: of the host, since it was started; empty where there was no room.
    """

    segment: str
    segment_bytes: int
    data_offset_bytes: int
    generation: int
    boot_id: str


class Segment:
    """A copy of an array for others to read, until `release`.

    Raises `OSError` where there is no room.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        data = np.ascontiguousarray(array).data.cast("B")
        generation = secrets.randbits(8 * _GENERATION_BYTES)
        name, file = _new_file()
        self._file = os.fdopen(file, "r+b", buffering=0)  # open as long as it is ours: it holds the lock
        self._path = FOLDER / name
        self.place = Place(name, DATA_OFFSET_BYTES + data.nbytes, DATA_OFFSET_BYTES, generation, boot_id())
        try:
            os.posix_fallocate(file, 0, self.place.segment_bytes)  # no room is an error here, and no signal later
            _write(file, data, DATA_OFFSET_BYTES)
            _write(file, memoryview(generation.to_bytes(_GENERATION_BYTES, "little")), 0)
        except BaseException:
            self.release()
            raise
        _own.add(self)

    def release(self) -> None:
        """Remove it; who has begun to read it goes on."""
        self._path.unlink(missing_ok=True)
        self._file.close()
        _own.discard(self)


#: What this process has not released yet.
_own: set[Segment] = set()


def release_all() -> None:
    """Remove all segments of this process, which ends."""
    for segment in list(_own):
        segment.release()


def has_room(needed_bytes: int) -> bool:
    """Whether so much can be taken and as much is left for others, DDS among them."""
    try:
        found = os.statvfs(FOLDER)
    except OSError:  # no such memory here
        return False
    return found.f_bavail * found.f_frsize > 2 * needed_bytes


def remove_orphans() -> list[str]:
    """Remove segments whose owners have ended without a word; their names."""
    removed = []
    for path in FOLDER.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else's, or removed meanwhile
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed.append(path.name)
            finally:
                os.close(file)
    return removed


def read(place: Place, shape: tuple[int, ...], dtype: np.dtype, of: str) -> NDArray[Any]:
    """A copy of the array of `shape` and `dtype` that lies there.

    It is copied and not mapped: who shortens or changes a mapped file ends the process that reads it, or lies to it.

    Raises `SegmentGoneError` where it does not lie there any more, or is on another host; `InputError` for what cannot
    be what the sender says. Both name what it is the array `of`.
    """
    needed = math.prod(shape) * dtype.itemsize
    if not place.boot_id:
        raise SegmentGoneError(f"{of}: there was no room for it in shared memory")
    if place.boot_id != boot_id():
        raise SegmentGoneError(f"{of}: its shared memory is on another host")
    if not _NAME.fullmatch(place.segment):
        name = repr(place.segment[:80])
        raise InputError(f"{of}: {name} is no name of a segment of shared memory; send it without a path")
    if place.data_offset_bytes < _GENERATION_BYTES or place.data_offset_bytes + needed > place.segment_bytes:
        where = f"{needed} bytes from {place.data_offset_bytes} on"
        raise InputError(f"{of}: {where} do not lie behind a number of 8 bytes in a segment of {place.segment_bytes}")
    try:
        file = os.open(FOLDER / place.segment, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise SegmentGoneError(f"{of}: segment {place.segment} cannot be opened ({error.strerror})") from error
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size != place.segment_bytes:
            raise InputError(f"{of}: segment {place.segment} has {found.st_size} bytes, not {place.segment_bytes}")
        array = np.empty(shape, dtype)
        whole = _has(file, place.generation)
        whole = whole and _read_into(array.data.cast("B"), file, place.data_offset_bytes)
        if not whole or not _has(file, place.generation):
            raise SegmentGoneError(f"{of}: segment {place.segment} holds another volume by now")
    finally:
        os.close(file)
    return array


def boot_id() -> str:
    """Of this host since it was started; empty where the system has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _new_file() -> tuple[str, int]:
    """A file of a new name, locked as long as this process lives; for nobody else than this user."""
    while True:
        name = f"{_PREFIX}{os.getpid()}_{secrets.token_hex(8)}"
        file = os.open(FOLDER / name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:
            return name, file
        os.close(file)  # taken for an orphan in the moment before it was locked


def _has(file: int, generation: int) -> bool:
    return os.pread(file, _GENERATION_BYTES, 0) == generation.to_bytes(_GENERATION_BYTES, "little")


def _write(file: int, data: memoryview, offset: int) -> None:
    while len(data):
        written = os.pwrite(file, data[:_MOST_AT_ONCE], offset)
        data, offset = data[written:], offset + written


def _read_into(data: memoryview, file: int, offset: int) -> bool:
    """False where the file ends before `data` does."""
    while len(data):
        count = os.preadv(file, [data[:_MOST_AT_ONCE]], offset)
        if count == 0:
            return False
        data, offset = data[count:], offset + count
    return True
