# SPDX-License-Identifier: Apache-2.0
"""Can a volume be as large as its header claims? Asked before any memory is spent on it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod

from liver_seg_ros.errors import InputError
from liver_seg_ros.memory import GIB, free_memory_bytes

#: A byte of a deflate stream becomes at most so many: https://zlib.net/zlib_tech.html
MOST_INFLATED = 1032
#: What is held beside the voxels of a file while they become HU or labels, per voxel.
BYTES_OF_A_COPY = 2


def check_claim(where: str, size: Sequence[int], voxel_bytes: int, most_bytes: float = inf) -> None:
    """Raise `InputError` where a header claims more voxels than its file can hold, or than fit into free memory.

    Args:
        where: the file; starts the message.
        size: voxels along each axis, as the header says.
        voxel_bytes: of one voxel as stored, once it is unpacked.
        most_bytes: that the file's voxels can have unpacked; infinity where nothing bounds them.
    """
    if min(size) < 1:
        raise InputError(f"{where}: its header is damaged (size {_times(size)}). Export it again.")
    claimed = prod(size) * voxel_bytes
    claim = f"its header claims {_times(size)} voxels of {voxel_bytes} bytes"
    if claimed > most_bytes:
        raise InputError(f"{where}: is cut off or damaged: {claim}, more than the file can hold. Copy it again.")
    needed, free = claimed + prod(size) * BYTES_OF_A_COPY, free_memory_bytes()
    if needed > free:
        raise InputError(
            f"{where}: {claim}, which need {needed / GIB:.1f} GiB; {free / GIB:.1f} GiB of memory are free. "
            "Crop or resample it first."
        )


def _times(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
