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


@dataclass(frozen=True, eq=False)
class Slab:
    """Consecutive slices of one volume.

    Attributes:
        uid: which volume.
        stamp_ns: when that volume was published; a later stamp is a new edition of the same volume.
        encoding: a key of `WIRE_TYPES`.
        geometry: the grid of the whole volume.
        first_slice: index k of `voxels[0]`.
        voxels: `(n, J, I)` of the encoding's type, usually a view of the message's bytes.
    """

    uid: str
    stamp_ns: int
    encoding: str
    geometry: Geometry
    first_slice: int
    voxels: NDArray[np.generic]

    __repr__ = short_repr

    @property
    def slices(self) -> slice:
        """Which slices of the volume these are."""
        return slice(self.first_slice, self.first_slice + len(self.voxels))


def decode_voxels(
    data: bytes | memoryview, encoding: str, compression: str, geometry: Geometry, slices: slice
) -> NDArray[np.generic]:
    """The voxels in a message's bytes, `(n, J, I)`, without a copy where they are not compressed.

    Raises `InputError` for an encoding or compression that is not known, slices beyond the volume, and bytes that are
    too few or too many.
    """
    if encoding not in WIRE_TYPES:
        raise InputError(f"encoding '{encoding}' is not known; send one of: {', '.join(WIRE_TYPES)}")
    k, j, i = geometry.shape
    if not 0 <= slices.start < slices.stop <= k:
        raise InputError(f"slices {slices.start} to {slices.stop - 1} are not within a volume of {k} slices")
    wire_type = WIRE_TYPES[encoding]
    count = slices.stop - slices.start
    expected = count * j * i * wire_type.itemsize
    if compression == COMPRESSION_ZLIB:
        data = _inflate(data, expected)
    elif compression not in (COMPRESSION_NONE, ""):
        raise InputError(f"compression '{compression}' is not known; send '{COMPRESSION_NONE}' or '{COMPRESSION_ZLIB}'")
    if len(data) != expected:
        raise InputError(
            f"{count} slices of {i}x{j} voxels in {encoding} are {expected} bytes, the message holds {len(data)}"
        )
    return np.frombuffer(data, dtype=wire_type).reshape(count, j, i)


def _inflate(data: bytes | memoryview, expected: int) -> bytes:
    try:
        # One byte more than expected is enough to see that there are too many, however large the stream claims to be.
        return zlib.decompressobj().decompress(data, expected + 1)
    except zlib.error as error:
        raise InputError(f"the message's zlib stream is damaged: {error}") from error
