# SPDX-License-Identifier: Apache-2.0
"""What a training draws its patches from: phantoms, or cases of any data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.training.provenance import Provenance

#: All patches of a batch.
EVERY = slice(None)


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step sees.

    Attributes:
        images: `(B, 1, K, J, I)` float32, normalized; of slices with their neighbors `(B, 2 n + 1, J, I)`.
        labels: `(B, K, J, I)` int64; of slices `(B, J, I)`.
        edges: the Canny map of the images, `(B, 1, *size)` float32, of slices with neighbors that of the middle one;
            None where the network does not take it.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    edges: NDArray[np.float32] | None = None

    __repr__ = short_repr


class PatchSource(Protocol):
    """What `Trainer` asks for."""

    def __len__(self) -> int:
        """How many cases there are."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Whose images these are, and all else that the model card says of them."""
        ...

    def refresh(self) -> None:
        """Take in what has landed since."""
        ...

    def batch(self, rng: Generator, share: slice = EVERY) -> Batch:
        """Random patches of random cases; the same state of `rng` and the same cases give the same batch.

        Args:
            rng: of the whole batch.
            share: which of its patches are wanted; each is the same whichever others are.
        """
        ...
