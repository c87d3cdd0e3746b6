# SPDX-License-Identifier: Apache-2.0
"""Out of memory, said by all runtimes in the same way."""

from __future__ import annotations

from collections.abc import Sequence

#: How the libraries say it; none has an exception of its own for it.
_SIGNS = ("bad_alloc", "failed to allocate", "out of memory", "outofmemory")


def says_out_of_memory(reason: str) -> bool:
    """Whether a library's message means that there was too little memory."""
    return any(sign in reason.lower() for sign in _SIGNS)


def too_little_memory(shape: Sequence[int]) -> MemoryError:
    """For a batch of `shape` `(B, 1, K, J, I)`, or of slices `(B, C, J, I)`, that could not be run."""
    batch, _, *sides = shape
    part = "window" if len(sides) == 3 else "slice"
    parts = f"a {part}" if batch == 1 else f"{batch} {part}s"
    return MemoryError(
        f"too little memory to run {parts} of {' x '.join(str(n) for n in reversed(sides))} voxels; "
        "end other programs, or set a smaller patch in the model's description"
    )


def too_little_gpu_memory() -> MemoryError:
    """For a GPU that cannot hold what is needed."""
    return MemoryError(
        "too little memory on the GPU; end other programs that use it, take another precision, or set a smaller patch "
        "in the model's description"
    )
