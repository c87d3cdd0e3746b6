# SPDX-License-Identifier: Apache-2.0
"""Lesions in the color of their structure, the paler the less sure the network is of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.measurement import PartMeasurement, nearest_lesions

#: What a lesion looks like that the network holds impossible.
PALE_RGB = (244, 244, 244)


def vertex_colors(
    vertices_mm: NDArray[np.float32], lesions: Sequence[PartMeasurement], rgb: tuple[int, int, int]
) -> NDArray[np.uint8] | None:
    """`(V, 3)`: the color of each vertex of the lesions' surfaces; None where no lesion's confidence is known.

    Whose surface a vertex is on is told by `nearest_lesions`. A lesion of unknown confidence has the full color.

    Args:
        vertices_mm: `(V, 3)` LPS.
        lesions: those of the mesh.
        rgb: the structure's color.
    """
    if all(lesion.confidence is None for lesion in lesions):
        return None
    sure = np.array([1.0 if lesion.confidence is None else lesion.confidence for lesion in lesions])
    share = sure[nearest_lesions(vertices_mm, lesions)][:, None]
    return np.rint(share * np.array(rgb) + (1 - share) * np.array(PALE_RGB)).astype(np.uint8)
