"""Can a volume be as large as its header claims? Asked before any memory is spent on it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from pathlib import Path

from liver_seg_ros.errors import InputError

#: A byte of a deflate stream becomes at most so many: https://zlib.net/zlib_tech.html
MOST_INFLATED = 1032
#: What is held beside the voxels of a file while they become HU or labels, per voxel.
BYTES_OF_A_COPY = 2
GIB = 2**30
MEMORY = Path("/proc/meminfo")


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


def free_memory_bytes() -> float:
    """What this machine can give without swapping; infinity where the kernel does not say."""
    try:
        fields = dict(line.split(":", 1) for line in MEMORY.read_text(encoding="ascii").splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return inf


def _times(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
