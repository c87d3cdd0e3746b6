# SPDX-License-Identifier: Apache-2.0
"""Arrays in memory that other processes of this host map, without a copy; free of ROS.

They lie in sealed files without a name (`offload/sealed_memory.py`), which another process of the same user opens by
way of the owner's descriptor, `/proc/<pid>/fd/<number>`. So nothing is left behind, whoever is killed, and `/dev/shm`,
of which containers have little, is not needed.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.memory import free_memory_bytes
from liver_seg_ros.offload.sealed_memory import KEY_BYTES, NAME, Mapping, is_sealed, key_of, mapped_at, sealed_file

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Nothing else is opened on anybody's word: a device might begin to do something.
_PATH = re.compile(r"/proc/[1-9][0-9]{0,9}/fd/[0-9]{1,9}", re.ASCII)
#: What such a path leads to where it is one of ours.
_LEADS_TO = f"/memfd:{NAME} (deleted)"
#: Of the blocks in which a file's memory is counted.
_BLOCK_BYTES = 512


class SegmentGoneError(InputError):
    """The segment is not there: its owner has ended or has a newer one, or is another user's or on another host."""


@dataclass(frozen=True)
class Place:
    """Where an array lies.

    Attributes:
        segment: path of its file, `/proc/<pid>/fd/<number>`.
        segment_bytes: the file's size.
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
    """An array for others to map, until `release`. Who has mapped it keeps it.

    A read-only array that came from a worker process or by a handle lies in a sealed file already; others are copied.

    Raises `OSError` where there is no room, or the system has no such files.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        data = np.ascontiguousarray(array).data.cast("B")
        there = mapped_at(data)
        if there is None:
            _check_room(data.nbytes)
            self._file, [offset] = sealed_file([data])
        else:
            mapping, offset = there
            self._file = os.dup(mapping.file)
        self._is_open = True
        size = os.fstat(self._file).st_size
        self.place = Place(f"/proc/{os.getpid()}/fd/{self._file}", size, offset, key_of(self._file), boot_id())

    def release(self) -> None:
        """Let nobody else find it."""
        if self._is_open:
            os.close(self._file)
        self._is_open = False


def read(place: Place, shape: tuple[int, ...], dtype: np.dtype, of: str) -> NDArray[Any]:
    """The array of `shape` and `dtype` that lies there: read-only, and not copied.

    Raises `SegmentGoneError` where it does not lie there any more, or cannot be had here; `InputError` for what cannot
    be what the sender says. Both name what it is the array `of`.
    """
    _check(place, math.prod(shape) * dtype.itemsize, dtype.itemsize, of)
    try:
        file = _opened(place.segment)
    except OSError as error:
        raise SegmentGoneError(f"{of}: segment {place.segment} cannot be opened ({error.strerror})") from error
    try:
        found = os.fstat(file)
        if found.st_size != place.segment_bytes:
            raise InputError(f"{of}: segment {place.segment} has {found.st_size} bytes, not {place.segment_bytes}")
        if not is_sealed(file):
            raise InputError(f"{of}: segment {place.segment} is not sealed; it might change or end while it is read")
        if found.st_blocks * _BLOCK_BYTES < found.st_size:
            raise InputError(f"{of}: segment {place.segment} has holes, which take memory when they are read")
        if key_of(file) != place.generation:
            raise SegmentGoneError(f"{of}: segment {place.segment} holds another volume by now")
        mapping = Mapping(file)
    finally:
        os.close(file)
    count = math.prod(shape)
    return np.frombuffer(mapping, dtype, count, place.data_offset_bytes).reshape(shape)


def boot_id() -> str:
    """Of this host since it was started; empty where the system has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _check(place: Place, needed: int, alignment: int, of: str) -> None:
    """Refuse what need not be opened to be refused."""
    if not place.boot_id:
        raise SegmentGoneError(f"{of}: there was no room for it in shared memory")
    if place.boot_id != boot_id():
        raise SegmentGoneError(f"{of}: its shared memory is on another host")
    if not _PATH.fullmatch(place.segment):
        name = repr(place.segment[:80])
        raise InputError(f"{of}: {name} is no path of a segment; send /proc/<pid>/fd/<number>")
    if place.data_offset_bytes < KEY_BYTES or place.data_offset_bytes + needed > place.segment_bytes:
        where = f"{needed} bytes from {place.data_offset_bytes} on"
        raise InputError(f"{of}: {where} do not lie behind a number of 8 bytes in a segment of {place.segment_bytes}")
    if place.data_offset_bytes % alignment:
        raise InputError(f"{of}: its voxels begin at {place.data_offset_bytes}, no multiple of {alignment}")


def _opened(path: str) -> int:
    """Raises `OSError` where there is no file of ours, or none that this user may open."""
    leads_to = str(Path(path).readlink())
    if leads_to != _LEADS_TO:
        raise FileNotFoundError(0, f"there is {leads_to[:80]!r} now")
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)


def _check_room(needed_bytes: int) -> None:
    """Raises `OSError` where as much would not be left for others."""
    free = free_memory_bytes()
    if free < 2 * needed_bytes:
        raise OSError(0, f"{needed_bytes / 1e6:.0f} MB are to be copied and {free / 1e6:.0f} MB are free")
