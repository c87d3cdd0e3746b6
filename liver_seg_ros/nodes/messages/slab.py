# SPDX-License-Identifier: Apache-2.0
"""A slab: some consecutive slices of a volume on their way over a topic, free of ROS so that it is tested without."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.short_repr import short_repr

ENCODING_HU = "16SC1"
ENCODING_LABELS = "8UC1"
ENCODING_FLOAT = "32FC1"

#: The type of a voxel on the wire, per encoding of `liver_seg_interfaces/msg/Volume`.
WIRE_TYPES: dict[str, np.dtype] = {
    ENCODING_HU: np.dtype("<i2"),
    ENCODING_LABELS: np.dtype("u1"),
    ENCODING_FLOAT: np.dtype("<f4"),
}

COMPRESSION_NONE = "none"
COMPRESSION_ZLIB = "zlib"
#: Of a sender, never of a message: labels are compressed, CTs are not.
COMPRESSION_AUTO = "auto"

#: Of zlib's levels the one whose streams are inflated fastest; of labels it leaves one byte in a hundred.
_DEFLATE_LEVEL = 1

#: Of a compressed slab, inflated, for which the executor's thread waits. A CT of 512x512x300 voxels has 157 MB.
MOST_INFLATED_BYTES = 256_000_000


@dataclass(frozen=True, eq=False)
class Slab:
    """Consecutive slices of one volume, as they came: nothing is inflated before `voxels` is asked for.

    Attributes:
        uid: which volume.
        stamp_ns: when that volume was published.
        encoding: a key of `WIRE_TYPES`.
        geometry: the grid of the whole volume.
        first_slice: index k of the first slice in `data`.
        slice_count: how many slices `data` holds.
        data: the message's bytes.
        compression: how they are compressed.

    Raises:
        InputError: an encoding or compression that is not known, slices beyond the volume, or bytes that are not
            compressed and too few or too many.
    """

    uid: str
    stamp_ns: int
    encoding: str
    geometry: Geometry
    first_slice: int
    slice_count: int
    data: bytes | memoryview
    compression: str = COMPRESSION_NONE

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if self.encoding not in WIRE_TYPES:
            raise InputError(f"encoding '{self.encoding}' is not known; send one of: {', '.join(WIRE_TYPES)}")
        first, stop, count = self.slices.start, self.slices.stop, self.geometry.shape[0]
        if not 0 <= first < stop <= count:
            raise InputError(f"slices {first} to {stop - 1} are not within a volume of {count} slices")
        if self.compression == COMPRESSION_ZLIB:
            return  # what is in it is seen when it is wanted
        if self.compression not in (COMPRESSION_NONE, ""):
            known = f"'{COMPRESSION_NONE}' or '{COMPRESSION_ZLIB}'"
            raise InputError(f"compression '{self.compression}' is not known; send {known}")
        self._check_data()

    @property
    def is_copy(self) -> bool:
        """Whether the same voxels come in other slabs, too, so that both need not be said to be doubles."""
        return False

    @property
    def slices(self) -> slice:
        """Which slices of the volume these are."""
        return slice(self.first_slice, self.first_slice + self.slice_count)

    def voxels(self) -> NDArray[np.generic]:
        """`(slice_count, J, I)` of the encoding's type, a view of `data` where that is not compressed.

        Raises `InputError`, naming the volume, for a stream that is damaged, ends early, goes on or has another length.
        """
        data = self.data
        if self.compression == COMPRESSION_ZLIB:
            try:
                data = self._inflated()
            except InputError as error:
                raise InputError(f"volume {self.uid}: {error}") from error
        _, j, i = self.geometry.shape
        return np.frombuffer(data, dtype=WIRE_TYPES[self.encoding]).reshape(self.slice_count, j, i)

    def _check_data(self) -> None:
        self._check_length(self.data)

    def _inflated(self) -> bytes:
        if self._length > MOST_INFLATED_BYTES:
            most = f"send at most {MOST_INFLATED_BYTES} in each"
            raise InputError(f"{self._in_words}, too many for one compressed slab; {most}")
        data = _inflate(self.data, self._length, self._in_words)
        self._check_length(data)
        return data

    @property
    def _length(self) -> int:
        """How many bytes the slab has, not compressed."""
        _, j, i = self.geometry.shape
        return self.slice_count * j * i * WIRE_TYPES[self.encoding].itemsize

    @property
    def _in_words(self) -> str:
        _, j, i = self.geometry.shape
        return f"{self.slice_count} slices of {i}x{j} voxels in {self.encoding} are {self._length} bytes"

    def _check_length(self, data: bytes | memoryview) -> None:
        if len(data) != self._length:
            raise InputError(f"{self._in_words}, the message holds {len(data)}")


def deflate(voxels: memoryview) -> bytes:
    """The bytes of a slab as `COMPRESSION_ZLIB` has them."""
    return zlib.compress(voxels, _DEFLATE_LEVEL)


def _inflate(data: bytes | memoryview, expected: int, said: str) -> bytes:
    """The bytes of one whole stream that ends where the message does."""
    stream = zlib.decompressobj()
    try:
        # One byte more than expected is enough to see that there are too many, however large the stream claims to be.
        inflated = stream.decompress(data, expected + 1)
    except zlib.error as error:
        raise InputError(f"the message's zlib stream is damaged: {error}") from error
    if len(inflated) > expected:
        raise InputError(f"{said}, the message's zlib stream holds more")
    if not stream.eof:
        raise InputError(f"{said}, the message's zlib stream ends after {len(inflated)} or without its checksum")
    if stream.unused_data:
        raise InputError(f"{len(stream.unused_data)} bytes follow the end of the message's zlib stream")
    return inflated
