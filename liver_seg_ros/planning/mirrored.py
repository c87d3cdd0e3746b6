# SPDX-License-Identifier: Apache-2.0
"""Whether landmarks of two frames are mirror images of each other: a left taken for a right, an axis turned round."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: So many times better must a mirror image fit than the turned landmarks do, before it is believed: landmarks that lie
#: nearly in a plane fit both ways, and which is better is noise.
MIRROR_FITS_BETTER = 3.0


def are_mirrored(source_mm: NDArray[np.float64], target_mm: NDArray[np.float64], fre_mm: float) -> bool:
    """Whether the mirror image of `source_mm` fits `target_mm`, both `(N, 3)`, far better than its turned copy.

    `fre_mm` is the root mean square residual of the best rotation. Never true of landmarks in one plane.
    """
    source, target = source_mm - source_mm.mean(axis=0), target_mm - target_mm.mean(axis=0)
    left, _, right = np.linalg.svd(target.T @ source)
    orthogonal = left @ right  # the best of turns and mirror images (Kabsch 1978, without the guard)
    if np.linalg.det(orthogonal) > 0:
        return False
    residual_mm = np.linalg.norm(source @ orthogonal.T - target, axis=1)
    return bool(fre_mm > MIRROR_FITS_BETTER * np.sqrt((residual_mm**2).mean()) and fre_mm > 1e-3)
