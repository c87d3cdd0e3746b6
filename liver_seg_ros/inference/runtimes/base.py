"""The one interface that every runtime implements. To add one: a file beside this one and a row in `registry`."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """A network loaded from a model bundle and ready to run.

    Made by its module's `load(bundle)`, which raises `InputError` where the weights cannot be executed or do not keep
    the contract stated in `bundle`. Each module also has `unavailable() -> str | None`: why this machine cannot use
    the runtime, in words, or None where it can.

    Attributes:
        name: the runtime's name in the registry.
        device: what it runs on, for people, e.g. "CPU, 8 threads".
    """

    name: str
    device: str

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits `(B, C, K, J, I)` float32 of `batch` `(B, 1, K, J, I)` float32, see `preprocessing.normalize`."""
        ...

    def close(self) -> None:
        """Give back memory and device; `run` must not be called afterwards."""
        ...
