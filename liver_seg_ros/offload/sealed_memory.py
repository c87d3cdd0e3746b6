# SPDX-License-Identifier: Apache-2.0
"""Memory that processes share and nobody can change: files without a name (`memfd`), sealed once they are filled.

A sealed file can be neither written to nor shortened, not even by who made it. So whoever maps one needs no copy: it
does not change under a network, and no reader is ended by SIGBUS. It is gone with the last process that has it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import tempfile
import threading
import weakref
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

#: What Linux calls such a file: `/memfd:liver_seg (deleted)`.
NAME = "liver_seg"
#: A file begins with a random number that no other has.
KEY_BYTES = 8
#: Where the first piece lies, and what each is aligned to, as NumPy and the processor like it.
_ALIGNMENT = 64
#: Most that Linux writes at once.
_MOST_WRITTEN = 1 << 30

#: Whether this system has such files; elsewhere they are temporary ones on disk, which nobody else is told of.
HAS_SEALS = hasattr(os, "memfd_create") and hasattr(fcntl, "F_ADD_SEALS")
#: What a file has before anybody maps it: as long as it is, and as it is.
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE if HAS_SEALS else 0


class Mapping(mmap.mmap):
    """A whole file in this process's memory. What is written to it, where that is allowed, nobody else sees.

    Attributes:
        file: its descriptor, open as long as the mapping is there.
        begin: address of its first byte.
    """

    file: int
    begin: int

    def __new__(cls, file: int, writable: bool = False) -> Mapping:
        """Map `file`, which goes on to belong to the caller."""
        may = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
        # Private: kernels before 6.7 map a sealed file in no other way while it is open for writing.
        mapping = super().__new__(cls, file, os.fstat(file).st_size, flags=mmap.MAP_PRIVATE, prot=may)
        mapping.file = os.dup(file)
        weakref.finalize(mapping, os.close, mapping.file)
        mapping.begin = _address(memoryview(mapping))
        if not writable and is_sealed(file):
            with _changing:
                _unchangeable.add(mapping)
        return mapping


#: Those of this process whose bytes are those of their files for ever.
_unchangeable: weakref.WeakSet[Mapping] = weakref.WeakSet()
_changing = threading.Lock()


def mapped_at(piece: memoryview) -> tuple[Mapping, int] | None:
    """The mapping in which these bytes lie, and where in its file; None where they lie elsewhere or may be changed."""
    if not piece.readonly or not piece.nbytes:
        return None
    address = _address(piece)
    with _changing:
        mappings = list(_unchangeable)
    for mapping in mappings:
        offset = address - mapping.begin
        if 0 <= offset <= len(mapping) - piece.nbytes:
            return mapping, offset
    return None


def sealed_file(pieces: Sequence[memoryview]) -> tuple[int, Sequence[int]]:
    """A file that holds these bytes: its descriptor, and where each piece begins. Raises `OSError`: no room."""
    *offsets, total = accumulate((_aligned(piece.nbytes) for piece in pieces), initial=_ALIGNMENT)
    file = _unnamed_file()
    try:
        os.ftruncate(file, total)
        _write(file, memoryview(secrets.token_bytes(KEY_BYTES)), 0)
        for offset, piece in zip(offsets, pieces, strict=True):
            _write(file, piece, offset)
        if HAS_SEALS:
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(file)
        raise
    return file, offsets


def is_sealed(file: int) -> bool:
    """Whether nobody can change or shorten it."""
    try:
        return HAS_SEALS and fcntl.fcntl(file, fcntl.F_GET_SEALS) & SEALS == SEALS
    except OSError:  # a file that cannot be sealed
        return False


def key_of(file: int) -> int:
    """The number that it begins with."""
    return int.from_bytes(os.pread(file, KEY_BYTES, 0), "little")


def _unnamed_file() -> int:
    """A file in memory, where the system has such; otherwise on disk."""
    if HAS_SEALS:
        return os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(file: int, piece: memoryview, offset: int) -> None:
    # Not by a mapping: the kernel fills fresh pages faster, and Python goes on meanwhile.
    while len(piece):
        written = os.pwrite(file, piece[:_MOST_WRITTEN], offset)
        piece, offset = piece[written:], offset + written


def _aligned(length: int) -> int:
    return -(-length // _ALIGNMENT) * _ALIGNMENT


def _address(piece: memoryview) -> int:
    return int(np.frombuffer(piece, np.uint8).__array_interface__["data"][0])
