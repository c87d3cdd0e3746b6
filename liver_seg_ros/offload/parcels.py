# SPDX-License-Identifier: Apache-2.0
"""Objects on their way from one process to another; their arrays lie in memory that both have.

The memory has no name: it is gone with the last process that has it, however that ends.
"""

from __future__ import annotations

import mmap
import os
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

#: What is smaller goes through the pipe.
SMALL_BYTES = 32_768
#: Of an array's first byte, as NumPy and the processor like it.
_ALIGNMENT = 64
#: Most that Linux writes at once.
_MOST_WRITTEN = 1 << 30


@dataclass(frozen=True)
class Parcel:
    """What came; nothing in it is imported or made before `unpack`.

    Attributes:
        kind: what the receiver is to do with it.
        number: which piece of work it belongs to.
        pieces: the pickled object and, apart from it, its arrays.
    """

    kind: str
    number: int
    pieces: Sequence[memoryview]

    def unpack(self) -> Any:
        """The object. Its arrays may be written to; whoever else has them does not see it."""
        stream, *arrays = self.pieces
        return pickle.loads(stream, buffers=arrays)


@dataclass(frozen=True)
class Packed:
    """An object that is ready to be sent; see `pack`."""

    lengths: Sequence[int]
    stream: bytes  # where all of it goes through the pipe
    file: int | None  # of the shared memory, otherwise

    def send(self, connection: Connection, kind: str, number: int) -> None:
        """Send it; quickly, so that others need not wait. Raises `OSError` where nobody is at the other end."""
        connection.send((kind, number, self.lengths, self.stream))
        if self.file is not None:
            reduction.send_handle(connection, self.file, os.getpid())


@contextmanager
def pack(content: object) -> Iterator[Packed]:
    """Make an object ready to be sent, without holding all of Python while large arrays are copied."""
    arrays: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(content, protocol=5, buffer_callback=arrays.append)
    pieces = [memoryview(stream), *(array.raw() for array in arrays)]
    lengths = [piece.nbytes for piece in pieces]
    if sum(lengths) <= SMALL_BYTES:
        whole = pickle.dumps(content, protocol=5)
        yield Packed([len(whole)], whole, None)
        return
    try:
        file = _filled_file(pieces)
    except OSError:  # no room for it, or no more open files allowed: slower by the pipe is better than not at all
        whole = pickle.dumps(content, protocol=5)
        yield Packed([len(whole)], whole, None)
        return
    try:
        yield Packed(lengths, b"", file)
    finally:
        os.close(file)


def receive(connection: Connection) -> Parcel:
    """The next parcel. Raises `EOFError` or `OSError` where nobody is at the other end."""
    kind, number, lengths, stream = connection.recv()
    if stream:
        return Parcel(kind, number, [memoryview(stream)])
    file = reduction.recv_handle(connection)
    offsets, total = _places(lengths)
    try:
        shared = memoryview(mmap.mmap(file, total, access=mmap.ACCESS_COPY))
    finally:
        os.close(file)
    pieces = [shared[offset : offset + length] for offset, length in zip(offsets, lengths, strict=True)]
    return Parcel(kind, number, pieces)


def _places(lengths: Sequence[int]) -> tuple[Sequence[int], int]:
    """Where pieces of these lengths begin, and where the last one ends."""
    *offsets, total = accumulate((-(-length // _ALIGNMENT) * _ALIGNMENT for length in lengths), initial=0)
    return offsets, total


def _filled_file(pieces: Sequence[memoryview]) -> int:
    """A file in memory that holds these, at `_places`. Raises `OSError` where there is no room."""
    offsets, total = _places([piece.nbytes for piece in pieces])
    file = _unnamed_file()
    try:
        os.ftruncate(file, total)
        for offset, piece in zip(offsets, pieces, strict=True):
            _write(file, piece, offset)
    except BaseException:
        os.close(file)
        raise
    return file


def _unnamed_file() -> int:
    """A file in memory, where the system has such; otherwise on disk."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("liver_seg_parcel")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(file: int, piece: memoryview, offset: int) -> None:
    # Not by a mapping: the kernel fills fresh pages faster, and Python goes on meanwhile.
    while len(piece):
        written = os.pwrite(file, piece[:_MOST_WRITTEN], offset)
        piece, offset = piece[written:], offset + written
