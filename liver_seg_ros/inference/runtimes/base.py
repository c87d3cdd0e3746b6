"""The one interface that every runtime implements. To add one: a file beside this one and a row in `registry`."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """A network loaded from a model bundle and ready to run.

    Made by its module's `load(bundle, variant=None)`, which raises `InputError` where the weights (the plain ones, or
    those of the bundle's variant of that name) cannot be executed or do not keep the contract stated in `bundle`. Each
    module also has `unavailable() -> str | None`: why this machine cannot use the runtime, in words, or None where it
    can.

    Attributes:
        name: the runtime's name in the registry.
        device: what it runs on, for people, e.g. "CPU, 8 threads".
        precision: the number format that most of the network computes in: "fp32", "fp16" or "int8".
    """

    name: str
    device: str
    precision: str

    def run(self, batch: NDArray[np.floating]) -> NDArray[np.generic]:
        """The network's answer to `batch` `(B, 1, K, J, I)`, float32 or float16 as the caller has it.

        The batch holds what the bundle's `values` say, HU or normalized, and the answer is what its `output` says:
        see `bundle`. Always with the batch axis.
        """
        ...

    def close(self) -> None:
        """Give back memory and device; `run` must not be called afterwards."""
        ...
