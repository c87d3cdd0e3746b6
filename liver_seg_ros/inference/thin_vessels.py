# SPDX-License-Identifier: Apache-2.0
"""Vessels that are too thin for the network's voxels, followed in the CT's own.

A branch of 2 mm fills a part of a voxel of 1.5 mm, and a network that sees such voxels loses it, while the CT shows it
well above its noise. So from the vessels that the network found, what is bright enough is followed through the liver:
hysteresis (Canny 1986) on the CT at its own spacing, with thresholds that the scan itself gives (`brightness`). Where
vessels are not clear of the noise, as without contrast, nothing is followed.
"""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bodies import ANY_NEIGHBOR
from liver_seg_ros.inference.brightness import Brightness
from liver_seg_ros.inference.layers import for_each_layer
from liver_seg_ros.inference.neighborhood import highest_near
from liver_seg_ros.inference.reach import further_than
from liver_seg_ros.labels import BACKGROUND, LIVER, TUMOR, VESSEL

#: A voxel is vessel from this share of the brightest one within `_WIDTH_MM`, which a vessel has in its middle.
_HALF = 0.45
_WIDTH_MM = 2.0
#: Nothing is followed this near to what is no liver, which shines into it, nor to tumors, whose rims may be as bright.
_FROM_OUTSIDE_MM, _FROM_TUMORS_MM = 3.0, 2.0


def follow_thin_vessels(labels: NDArray[np.uint8], brightness: Brightness, geometry: Geometry) -> NDArray[np.uint8]:
    """`labels` with those voxels of liver as vessels that thin branches of its vessels run through.

    Args:
        labels: `(K, J, I)`, not changed; of liver, tumors and vessels.
        brightness: of the CT there.
        geometry: their grid.

    Returns:
        `(K, J, I)`; the same array where there is nothing to follow.
    """
    noise, contrast = brightness.noise, brightness.contrast
    vessel = labels == VESSEL.value
    if not brightness.vessels_stand_out or not vessel.any():
        return labels

    def bright_in(layer: Box) -> None:
        reach = geometry.voxels_over(max(_WIDTH_MM, _FROM_OUTSIDE_MM, _FROM_TUMORS_MM))
        around = layer.padded(reach, geometry.size)
        near, excess = labels[around.slices], brightness.excess(around)
        liver = near == LIVER.value
        peak = np.where(liver | (near == VESSEL.value), excess, np.iinfo(np.int16).min)
        for axis, spacing_mm in enumerate(geometry.spacing_mm[::-1]):
            peak = highest_near(peak, max(1, round(_WIDTH_MM / spacing_mm)), axis)
        asked = np.zeros_like(liver)
        own = layer.seen_from(around).slices
        asked[own] = liver[own]
        asked &= (excess > noise) & (excess < brightness.brightest) & (excess > _HALF * np.minimum(peak, contrast))
        for other, reach_mm in ((BACKGROUND, _FROM_OUTSIDE_MM), (TUMOR.value, _FROM_TUMORS_MM)):
            asked = further_than(near == other, asked, geometry.crop(around), reach_mm)
        bright[layer.slices] = asked[own]

    bright = np.zeros(labels.shape, bool)
    for_each_layer(bright_in, brightness.layers)
    bodies = cc3d.connected_components(bright | vessel, connectivity=ANY_NEIGHBOR)
    is_vessel = np.zeros(int(bodies.max()) + 1, bool)
    is_vessel[bodies[vessel]] = True
    more = labels.copy()
    more[bright & is_vessel[bodies]] = VESSEL.value
    return more
