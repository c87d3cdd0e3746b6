# SPDX-License-Identifier: Apache-2.0
"""The one interface that every runtime implements. To add one: a file beside this one and a row in `choice`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.progress import Cancelled, Progress, never_cancelled, no_progress

#: What a network takes at once: of one input its array `(B, ...)`, of several one each, in the order of `input.inputs`.
Batch = NDArray[np.floating] | tuple[NDArray[np.floating], ...]


def arrays_of(batch: Batch) -> tuple[NDArray[np.floating], ...]:
    """The array of each input."""
    return batch if isinstance(batch, tuple) else (batch,)


@dataclass(frozen=True)
class LoadOptions:
    """How a runtime is loaded; each takes what concerns it.

    Attributes:
        cache_dir: where engines and compiled models are kept; None for the user's own (see `cache_folder`).
        largest_batch: windows that may be run at once; a runtime that compiles for fixed bounds takes no more.
        workspace_mb: limit of the scratch memory of one layer, 10^6 bytes; None for the library's own.
        cuda_graphs: whether TensorRT-RTX queues a window's kernels as one graph, which spares the CPU their launches.
        progress: told how far the building of an engine is.
        cancelled: asked while an engine is built.
    """

    cache_dir: Path | None = None
    largest_batch: int = 1
    workspace_mb: int | None = None
    cuda_graphs: bool = True
    progress: Progress = no_progress
    cancelled: Cancelled = never_cancelled


DEFAULTS = LoadOptions()


class Runtime(Protocol):
    """A network loaded from a model bundle and ready to run.

    Made by its module's `load(bundle, variant=None, options=DEFAULTS)`, which raises `InputError` where the weights
    (the plain ones, or those of the bundle's variant of that name) cannot be executed or do not keep the contract
    stated in `bundle`. Each module also has `unavailable() -> str | None`: why this machine cannot use the runtime, in
    words, or None where it can.

    Attributes:
        name: the runtime's name in `RUNTIMES`.
        device: what it runs on, for people, e.g. "CPU, 8 threads".
        precision: the number format that most of the network computes in: "fp32", "fp16" or "int8".
        largest_window: `(K, J, I)` that a window may have at most, K being 1 for slices; None where only memory bounds
            it.
        largest_batch: windows that are best run at once. 1 where more gain nothing, as on a CPU. Slices are run as
            many at once as the bundle says.
    """

    name: str
    device: str
    precision: str
    largest_window: tuple[int, int, int] | None
    largest_batch: int

    def run(self, batch: Batch) -> NDArray[np.generic]:
        """The network's answer to `batch` `(B, 1, K, J, I)`, float32 or float16 as the caller has it.

        Of a network of slices `(B, 2 n + 1, J, I)`, and with edges these and their Canny maps `(B, 1, J, I)`.

        The batch holds what the bundle's `values` say, HU or normalized, and the answer is what its `output` says:
        see `bundle`. Always with the batch axis.

        Raises:
            MemoryError: there is too little memory for windows of this size; a smaller one may still be run.
        """
        ...

    def run_sequence(self, batches: Iterable[Batch]) -> Iterator[NDArray[np.generic]]:
        """The answers to `batches`, in order; a batch is taken while the one before it is still computed.

        An answer is valid only until the next one is asked for. It may be written to.
        """
        ...

    def release_memory(self) -> None:
        """Give back what is kept between runs, such as room for activations; the next run takes it again."""
        ...

    def close(self) -> None:
        """Give back memory and device; `run` must not be called afterwards."""
        ...
