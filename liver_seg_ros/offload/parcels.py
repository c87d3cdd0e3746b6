# SPDX-License-Identifier: Apache-2.0
"""Objects on their way from one process to another; their arrays lie in memory that both have.

The memory has no name: it is gone with the last process that has it, however that ends. An array that lies in such
memory already and is read-only, because it came in a parcel or by a handle, is passed on as it is, without a copy.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

from liver_seg_ros.offload.sealed_memory import Mapping, mapped_at, sealed_file

#: What is smaller goes through the pipe.
SMALL_BYTES = 32_768


@dataclass(frozen=True)
class Parcel:
    """What came; nothing in it is imported or made before `unpack`.

    Attributes:
        kind: what the receiver is to do with it.
        number: which piece of work it belongs to.
        pieces: the pickled object and, apart from it, its large arrays.
    """

    kind: str
    number: int
    pieces: Sequence[memoryview]

    def unpack(self) -> Any:
        """The object. Its arrays may be written to where those that were sent could; nobody else sees it."""
        stream, *arrays = self.pieces
        return pickle.loads(stream, buffers=arrays)  # noqa: S301  from our own process


@dataclass(frozen=True)
class _File:
    """Shared memory that travels as a descriptor.

    Attributes:
        writable: whether the arrays in it may be written to where they come.
        own: it was filled for this parcel, and is closed with it.
    """

    descriptor: int
    writable: bool
    own: bool


@dataclass(frozen=True)
class Packed:
    """An object that is ready to be sent; see `pack`.

    Attributes:
        stream: the pickled object where it goes through the pipe; else it is the first of `places`.
        places: of what does not: index of the file, where in it, and how many bytes.
        files: where that lies.
    """

    stream: bytes
    places: Sequence[tuple[int, int, int]]
    files: Sequence[_File]

    def send(self, connection: Connection, kind: str, number: int) -> None:
        """Send it; quickly, so that others need not wait. Raises `OSError` where nobody is at the other end."""
        connection.send((kind, number, self.stream, self.places, [file.writable for file in self.files]))
        for file in self.files:
            reduction.send_handle(connection, file.descriptor, os.getpid())


@contextmanager
def pack(content: object) -> Iterator[Packed]:
    """Make an object ready to be sent, without holding all of Python while large arrays are copied."""
    arrays: list[memoryview] = []

    def is_small(buffer: pickle.PickleBuffer) -> bool:
        array = buffer.raw()
        if array.nbytes > SMALL_BYTES:
            arrays.append(array)
        return array.nbytes <= SMALL_BYTES

    stream = pickle.dumps(content, protocol=5, buffer_callback=is_small)
    files: list[_File] = []
    try:
        try:
            places = _placed([*([memoryview(stream)] if len(stream) > SMALL_BYTES else []), *arrays], files)
            packed = Packed(b"" if len(stream) > SMALL_BYTES else stream, places, files)
        except OSError:  # no room for it, or no more open files allowed: slower by the pipe is better than not at all
            packed = Packed(pickle.dumps(content, protocol=5), (), ())
        yield packed
    finally:
        for file in files:
            if file.own:
                os.close(file.descriptor)


def receive(connection: Connection) -> Parcel:
    """The next parcel. Raises `EOFError` or `OSError` where nobody is at the other end."""
    kind, number, stream, places, are_writable = connection.recv()
    files = [_mapped(connection, writable) for writable in are_writable]
    pieces = [files[file][offset : offset + length] for file, offset, length in places]
    return Parcel(kind, number, [memoryview(stream), *pieces] if stream else pieces)


def _mapped(connection: Connection, writable: bool) -> memoryview:
    file = reduction.recv_handle(connection)
    try:
        return memoryview(Mapping(file, writable))
    finally:
        os.close(file)


def _placed(pieces: Sequence[memoryview], files: list[_File]) -> Sequence[tuple[int, int, int]]:
    """Where each piece lies, in `files`, to which those that are needed are added. Raises `OSError`: no room."""
    places: dict[int, tuple[int, int, int]] = {}
    fresh: dict[bool, list[int]] = {False: [], True: []}  # by whether they may be written to
    for index, piece in enumerate(pieces):
        there = mapped_at(piece)
        if there is None:
            fresh[not piece.readonly].append(index)
            continue
        mapping, offset = there
        file = _File(mapping.file, writable=False, own=False)
        if file not in files:
            files.append(file)
        places[index] = files.index(file), offset, piece.nbytes
    for writable, indices in fresh.items():
        if indices:
            descriptor, offsets = sealed_file([pieces[index] for index in indices])
            files.append(_File(descriptor, writable, own=True))
            for index, offset in zip(indices, offsets, strict=True):
                places[index] = len(files) - 1, offset, pieces[index].nbytes
    return [places[index] for index in range(len(pieces))]
