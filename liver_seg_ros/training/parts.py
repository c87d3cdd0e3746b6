# SPDX-License-Identifier: Apache-2.0
"""The connected parts of a mask, as patches are centered on them."""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray


def voxels_by_part(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """`(N, 3)` voxels `(k, j, i)` of each part of `mask` `(K, J, I)`, by corners; none where it is empty."""
    parts = cc3d.connected_components(mask, connectivity=26)
    voxels = np.argwhere(mask)
    if not len(voxels):
        return []
    number = parts[tuple(voxels.T)]
    order = np.argsort(number, kind="stable")
    return np.split(voxels[order], np.cumsum(np.bincount(number)[1:])[:-1])
