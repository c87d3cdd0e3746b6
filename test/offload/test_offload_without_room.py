# SPDX-License-Identifier: Apache-2.0
"""A parcel whose memory cannot be had goes through the pipe."""

from __future__ import annotations

import resource
from multiprocessing import Pipe

import numpy as np

from liver_seg_ros.offload.parcels import pack, receive


def test_without_room_in_shared_memory_an_array_arrives_all_the_same() -> None:
    array = np.arange(10_000, dtype=np.float32)
    here, there = Pipe()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pack(array) as packed:
            assert not packed.files
            packed.send(here, "work", 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    np.testing.assert_array_equal(receive(there).unpack(), array)
