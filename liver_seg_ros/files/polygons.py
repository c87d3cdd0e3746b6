# SPDX-License-Identifier: Apache-2.0
"""Polygons in a slice: which pixels lie in them, by the even-odd rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def filled(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """`(J, I)` bool: the pixels whose centers lie in an odd number of `polygons`.

    So a polygon in another one is a hole, and one that runs to its hole and back the same way (a keyhole) has it too.

    Args:
        polygons: each `(N, 2)` corners `(i, j)` in pixels, `(0, 0)` the center of the first one; closed by itself.
        shape: `(J, I)`; what lies outside of it is cut off.
    """
    rows, columns = shape
    # How often an edge crosses a row just before a pixel; summed along the row, how often one has entered or left.
    crossed = np.zeros((rows, columns + 1), np.int64)
    for polygon in polygons:
        start, end = polygon, np.roll(polygon, -1, axis=0)
        upward = end[:, 1] > start[:, 1]
        low, high = (np.where(upward[:, None], a, b) for a, b in ((start, end), (end, start)))
        first = np.clip(np.ceil(low[:, 1]), 0, rows).astype(np.int64)
        stop = np.clip(np.ceil(high[:, 1]), 0, rows).astype(np.int64)  # the upper end belongs to the next edge
        counts = np.maximum(stop - first, 0)
        edge = np.repeat(np.arange(len(polygon)), counts)
        j = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
        slope = (high[edge, 0] - low[edge, 0]) / (high[edge, 1] - low[edge, 1])
        i = np.ceil(low[edge, 0] + (j - low[edge, 1]) * slope)
        np.add.at(crossed, (j, np.clip(i, 0, columns).astype(np.int64)), 1)
    return np.cumsum(crossed, axis=1)[:, :columns] % 2 == 1


def encloses(polygon: NDArray[np.float64], point: NDArray[np.float64]) -> bool:
    """Whether `point` `(i, j)` lies in `polygon` `(N, 2)`."""
    return bool(filled([polygon - point], (1, 1))[0, 0])
