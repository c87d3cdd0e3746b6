# SPDX-License-Identifier: Apache-2.0
"""What a network sees: the one function that training and inference both use, so that the two cannot drift apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def normalize(hu: NDArray[np.generic], hu_window: tuple[float, float]) -> NDArray[np.float32]:
    """Hounsfield units clipped to `hu_window` = (low, high) and scaled to -1 ... 1.

    Args:
        hu: any shape, any real type; not changed.
        hu_window: low maps to -1, high to 1; low < high.

    Returns:
        float32 of the same shape. A network's zero padding thus equals the middle of the window.
    """
    low, high = hu_window
    scaled = np.clip(hu, low, high).astype(np.float32)
    scaled -= np.float32((low + high) / 2)
    scaled *= np.float32(2 / (high - low))
    return scaled


def mean_and_deviation(hu: NDArray[np.generic]) -> tuple[np.float32, np.float32]:
    """What HU are less and over to be standardized: the mean of all, and their standard deviation, never zero."""
    return np.float32(hu.mean(dtype=np.float64)), np.float32(max(float(hu.std(dtype=np.float64)), 1e-8))
