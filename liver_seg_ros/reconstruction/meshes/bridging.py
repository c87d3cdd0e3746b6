# SPDX-License-Identifier: Apache-2.0
"""Voxels that make thin branches whole: an isosurface separates voxels that touch only over an edge or a corner."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray


def bridged(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: the mask and what makes parts that are 26-connected 6-connected.

    Between two voxels that touch over an edge one is added that shares a face with both, between two that touch only
    over a corner two. A voxel that neighbors an added one also neighbors one of those two, so nothing else is joined.

    Args:
        mask: `(K, J, I)` bool with a border of background, as `StructureMask` has it.
    """
    given = np.ascontiguousarray(mask).reshape(-1)
    whole = given.copy()
    at = np.flatnonzero(given)
    k, j, i = mask.shape[1] * mask.shape[2], mask.shape[2], 1  # steps in `given`
    for (a, b), sign in product(combinations((k, j, i), 2), (1, -1)):
        over_edge = at[given[at + a + sign * b] & ~given[at + a] & ~given[at + sign * b]]
        whole[over_edge + a] = True
    for b, c in product((j, -j), (i, -i)):
        over_corner = at[given[at + k + b + c]]
        for step in (k, b, c, k + b, k + c, b + c):
            over_corner = over_corner[~given[over_corner + step]]
        whole[over_corner + c] = True
        whole[over_corner + b + c] = True
    return whole.reshape(mask.shape)
