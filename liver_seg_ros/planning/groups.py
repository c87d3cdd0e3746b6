# SPDX-License-Identifier: Apache-2.0
"""Points in groups of near ones, by halving: at the median of the widest axis of each group, all groups at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.intp]


def halved(points: NDArray[np.floating], most: int) -> Ids:
    """`(G, M)` rows of `(N, D)` points, N > 0, one group after another; M is `most` or less.

    Groups are equally large, so that some rows may stand twice.
    """
    halvings = max(0, int(np.ceil(np.log2(len(points) / most))))
    count = -(-len(points) // 2**halvings) * 2**halvings
    groups: Ids = (np.arange(count) * len(points) // count)[None]
    for _ in range(halvings):
        number, length = groups.shape
        of_group = points[groups]
        widest = np.ptp(of_group, axis=1).argmax(axis=1)
        along_it = np.take_along_axis(of_group, widest[:, None, None], axis=2)[:, :, 0]
        order = np.argpartition(along_it, length // 2, axis=1)
        groups = np.take_along_axis(groups, order, axis=1).reshape(2 * number, length // 2)
    return groups
