"""Bytes of a message to voxels."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.nodes.messages.slab import decode_voxels

GEOMETRY = Geometry(size=(3, 2, 4))
HU = np.arange(4 * 2 * 3, dtype="<i2").reshape(4, 2, 3) - 5
DATA = HU[1:3].tobytes()


def test_plain_bytes_are_not_copied():
    voxels = decode_voxels(DATA, "16SC1", "none", GEOMETRY, slice(1, 3))
    np.testing.assert_array_equal(voxels, HU[1:3])
    assert np.shares_memory(voxels, np.frombuffer(DATA, "u1"))


def test_zlib():
    voxels = decode_voxels(zlib.compress(DATA), "16SC1", "zlib", GEOMETRY, slice(1, 3))
    np.testing.assert_array_equal(voxels, HU[1:3])


@pytest.mark.parametrize(
    ("data", "encoding", "compression", "slices", "says"),
    [
        (DATA[:-1], "16SC1", "none", slice(1, 3), "are 24 bytes, the message holds 23"),
        (DATA + b"x", "16SC1", "none", slice(1, 3), "holds 25"),
        (b"", "16SC1", "none", slice(2, 2), "not within a volume of 4 slices"),
        (DATA, "16SC1", "none", slice(3, 5), "slices 3 to 4 are not within a volume of 4 slices"),
        (DATA, "16UC1", "none", slice(1, 3), "encoding '16UC1' is not known"),
        (DATA, "16SC1", "lzma", slice(1, 3), "compression 'lzma' is not known"),
        (DATA, "16SC1", "zlib", slice(1, 3), "zlib stream is damaged"),
        (zlib.compress(bytes(10_000_000)), "16SC1", "zlib", slice(1, 3), "the message holds 25"),
        (zlib.compress(DATA)[:-8], "16SC1", "zlib", slice(1, 3), "are 24 bytes"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(data, encoding, compression, slices, says):
    with pytest.raises(InputError) as caught:
        decode_voxels(data, encoding, compression, GEOMETRY, slices)
    assert says in str(caught.value)
