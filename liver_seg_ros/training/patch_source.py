"""What a training draws its patches from: phantoms, or cases of any data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step sees.

    Attributes:
        images: `(B, 1, K, J, I)` float32, normalized.
        labels: `(B, K, J, I)` int64.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    __repr__ = short_repr


class PatchSource(Protocol):
    """What `Trainer` asks for."""

    def __len__(self) -> int:
        """How many cases there are."""
        ...

    @property
    def images(self) -> str:
        """Whose images these are, for the model card: one of `inference.bundle.TRAINING_DATA`."""
        ...

    @property
    def source(self) -> str:
        """Which images these are, in words, for the model card."""
        ...

    def refresh(self) -> None:
        """Take in what has landed since."""
        ...

    def batch(self, rng: Generator) -> Batch:
        """Random patches of random cases; the same state of `rng` and the same cases give the same batch."""
        ...
