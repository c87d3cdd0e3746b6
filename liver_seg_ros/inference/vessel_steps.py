# SPDX-License-Identifier: Apache-2.0
"""What is done with vessels after all else, where a bundle says so (`bundle.VESSEL_STEPS`)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.brightness import Brightness
from liver_seg_ros.inference.bundle import ROUND_VESSELS, THIN_VESSELS, VESSEL_BORDERS, VESSEL_STEPS
from liver_seg_ros.inference.round_vessels import lesions_among_vessels
from liver_seg_ros.inference.vessel_voxels import in_own_voxels

#: So much is looked at beside what is labeled, to know what is near to it.
_BESIDE_MM = 3.0


def refine_vessels(
    labels: NDArray[np.uint8], hu: NDArray[np.int16], geometry: Geometry, steps: Collection[str]
) -> NDArray[np.uint8]:
    """`labels` after those of `steps` that are about vessels.

    Args:
        labels: `(K, J, I)`, not changed; of liver, tumors and vessels.
        hu: `(K, J, I)`, the CT.
        geometry: their grid.
        steps: of `bundle.POSTPROCESSING_STEPS`; all others are passed over.

    Returns:
        `(K, J, I)`; the same array where there is nothing to do.
    """
    box = Box.around(labels)
    if box is None or not set(VESSEL_STEPS) & set(steps):
        return labels
    box = box.padded(geometry.voxels_over(_BESIDE_MM), geometry.size)
    before, crop = labels[box.slices], geometry.crop(box)
    brightness = Brightness.of(before, hu[box.slices], crop)
    after = before
    if ROUND_VESSELS in steps:
        after = lesions_among_vessels(after, brightness, crop)
    if {THIN_VESSELS, VESSEL_BORDERS} & set(steps) and brightness is not None:
        after = in_own_voxels(after, brightness, crop, steps)
    if after is before:
        return labels
    refined = labels.copy()
    refined[box.slices] = after
    return refined
