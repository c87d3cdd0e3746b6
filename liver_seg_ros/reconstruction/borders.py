# SPDX-License-Identifier: Apache-2.0
"""Where voxels of different kinds meet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def at_borders(kinds: NDArray[np.generic]) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: voxels that share a face with one of another kind."""
    found = np.zeros(kinds.shape, bool)
    for axis in range(3):
        before, behind = (slice(None),) * axis + (slice(None, -1),), (slice(None),) * axis + (slice(1, None),)
        differ = kinds[before] != kinds[behind]
        found[before] |= differ
        found[behind] |= differ
    return found
