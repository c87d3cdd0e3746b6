# SPDX-License-Identifier: Apache-2.0
"""Networks of slices: a slice with its neighbors as channels in, the labels of the one in the middle out."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.training.recipe import PICTURE, Recipe

Scalar = TypeVar("Scalar", bound=np.generic)

#: What a recipe's `optimization.patch` has along k for a network of slices.
ONE_SLICE = 1


def is_of_slices(recipe: Recipe) -> bool:
    """Whether the recipe's patches are slices and not volumes."""
    return recipe.optimization.patch[2] == ONE_SLICE


def channels(recipe: Recipe) -> int:
    """How many slices a network of slices sees at once, or colors; 1 for a network of volumes."""
    return 3 if recipe.stage == PICTURE else 2 * recipe.data.neighbors + 1


def with_neighbors(volume: NDArray[Scalar], neighbors: int) -> NDArray[Scalar]:
    """`(K, 2 n + 1, J, I)`: each slice of `volume` `(K, J, I)` between its `n` neighbors on either side, the outermost
    repeated where there are none; a view of a padded copy."""
    padded = np.pad(volume, ((neighbors, neighbors), (0, 0), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * neighbors + 1, axis=0)  # (K, J, I, 2 n + 1)
    return np.moveaxis(windows, -1, 1)
