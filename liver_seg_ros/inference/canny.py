# SPDX-License-Identifier: Apache-2.0
"""The Canny map of a slice: the second input of networks that extract edges (`edges` of TransFusionNet).

Beside `normalize`, for training and inference alike, because a network that computed it could not be exported.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def canny_map(
    image: NDArray[np.float32], lower: float = 1.25, upper: float = 12.5, variance: float = 0.5
) -> NDArray[np.float32]:
    """Where a slice has an edge (Canny 1986, doi:10.1109/TPAMI.1986.4767851), 0 or 1, each slice by itself.

    Meng et al. (TransFusionNet) do not say with which parameters; their code gives OpenCV the thresholds 10 and 100, in
    units of a 3x3 Sobel filter on gray levels 0 to 255. That filter's weights sum up to 8 per gray level and pixel:
    hence 1.25 and 12.5. It smooths along an edge by 1-2-1, which has a variance of 0.5; ITK smooths across too. So a
    straight step is an edge from 31 gray levels on, with OpenCV from 25 on.

    Args:
        image: `(..., J, I)`, -1 ... 1, as `normalize` gives it; not changed.
        lower: an edge is followed as long as the gradient is above, gray levels (of 255) per pixel.
        upper: and must be above this somewhere.
        variance: of the Gaussian that the slice is smoothed with, pixels squared.

    Returns:
        float32 of the same shape. Distances are in pixels: a slice's spacing plays no part.
    """
    import SimpleITK  # 90 MB, and few networks have edges

    gray = (np.asarray(image, np.float32) + 1) * np.float32(127.5)
    edges = np.zeros_like(gray)
    for index in np.ndindex(gray.shape[:-2]):
        slice_ = SimpleITK.GetImageFromArray(gray[index])
        found = SimpleITK.CannyEdgeDetection(slice_, lower, upper, [variance] * 2, [0.01] * 2)
        edges[index] = SimpleITK.GetArrayFromImage(found)
    return edges
