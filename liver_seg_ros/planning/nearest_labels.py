# SPDX-License-Identifier: Apache-2.0
"""Labels on the points of another grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import BACKGROUND
from liver_seg_ros.volume import LabelVolume


def labels_at(labels: LabelVolume, geometry: Geometry) -> NDArray[np.uint8]:
    """`(K, J, I)` of `geometry`: at each of its points the label of the voxel that it lies in, 0 beyond the labels."""
    origin, *steps = labels.geometry.lps_to_index(geometry.index_to_lps(np.vstack([np.zeros(3), np.eye(3)])))
    matrix = np.stack([step - origin for step in steps], axis=1)  # (i, j, k) to (i, j, k)
    found: NDArray[np.uint8] = affine_transform(
        labels.array,
        matrix[::-1, ::-1],
        origin[::-1],
        geometry.shape,
        output=np.uint8,
        order=0,
        mode="grid-constant",
        cval=BACKGROUND,
        prefilter=False,
    )
    return found
