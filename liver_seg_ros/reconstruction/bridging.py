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
    whole = mask.copy(order="C")
    flat = whole.reshape(-1)
    at = np.flatnonzero(flat)
    k, j, i = whole.strides  # steps in `flat`, because a bool is a byte
    for (a, b), sign in product(combinations((k, j, i), 2), (1, -1)):
        b *= sign
        over_edge = at[flat[at + a + b] & ~flat[at + a] & ~flat[at + b]]
        flat[over_edge + a] = True
    for sign_j, sign_i in product((1, -1), repeat=2):
        b, c = sign_j * j, sign_i * i
        over_corner = at[flat[at + k + b + c]]
        for step in (k, b, c, k + b, k + c, b + c):
            over_corner = over_corner[~flat[over_corner + step]]
        flat[over_corner + c] = True
        flat[over_corner + b + c] = True
    return whole
