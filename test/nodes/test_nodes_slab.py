# SPDX-License-Identifier: Apache-2.0
"""Bytes of a message to voxels."""

from __future__ import annotations

import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.nodes.messages import slab as slab_module
from liver_seg_ros.nodes.messages.slab import Slab

GEOMETRY = Geometry(size=(3, 2, 4))
HU = np.arange(4 * 2 * 3, dtype="<i2").reshape(4, 2, 3) - 5
DATA = HU[1:3].tobytes()


def decode_voxels(data, encoding, compression, geometry, slices):
    count = slices.stop - slices.start
    return Slab("ct", 1, encoding, geometry, slices.start, count, data, compression).voxels()


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
        (
            zlib.compress(bytes(10_000_000)),
            "16SC1",
            "zlib",
            slice(1, 3),
            "are 24 bytes, the message's zlib stream holds more",
        ),
        (zlib.compress(DATA)[:-8], "16SC1", "zlib", slice(1, 3), "are 24 bytes"),
        (zlib.compress(DATA)[:-1], "16SC1", "zlib", slice(1, 3), "ends after 24 or without its checksum"),
        (zlib.compress(DATA) + b"more", "16SC1", "zlib", slice(1, 3), "4 bytes follow the end"),
        (zlib.compress(DATA) * 2, "16SC1", "zlib", slice(1, 3), "bytes follow the end"),
        (zlib.compress(DATA[:-2]), "16SC1", "zlib", slice(1, 3), "are 24 bytes, the message holds 22"),
        (b"", "16SC1", "zlib", slice(1, 3), "ends after 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(data, encoding, compression, slices, says):
    with pytest.raises(InputError) as caught:
        decode_voxels(data, encoding, compression, GEOMETRY, slices)
    assert says in str(caught.value)


@given(cut=st.integers(1, 40), extra=st.binary(max_size=3))
def test_a_stream_is_taken_whole_or_not_at_all(cut, extra):
    stream = zlib.compress(DATA)
    for damaged in (stream[:-cut], stream + b"x" + extra):
        with pytest.raises(InputError):
            decode_voxels(damaged, "16SC1", "zlib", GEOMETRY, slice(1, 3))


def test_a_small_stream_cannot_take_much_memory(monkeypatch):
    """What a header promises is bounded before a byte is inflated; what comes beyond it is not inflated."""
    bomb = zlib.compress(bytes(200_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="holds more"):
            decode_voxels(bomb, "8UC1", "zlib", Geometry(size=(100, 100, 10)), slice(0, 10))
        large = Geometry(size=(60_000, 60_000, 10))
        with pytest.raises(InputError, match="too many for one compressed slab"):
            decode_voxels(bomb, "8UC1", "zlib", large, slice(0, 10))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    monkeypatch.setattr(slab_module, "MOST_INFLATED_BYTES", len(DATA))
    np.testing.assert_array_equal(decode_voxels(zlib.compress(DATA), "16SC1", "zlib", GEOMETRY, slice(1, 3)), HU[1:3])
