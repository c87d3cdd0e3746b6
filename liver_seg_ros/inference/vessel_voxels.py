# SPDX-License-Identifier: Apache-2.0
"""Vessels in the CT's own voxels, where the network's are too coarse: thin branches, and borders.

A branch of 2 mm fills a part of a voxel of 1.5 mm, and a network that sees such voxels loses it, while the CT shows it
well above its noise. So from the vessels that the network found, what is bright enough is followed through the liver:
hysteresis (Canny 1986) on the CT at its own spacing, with thresholds that the scan itself gives (`brightness`). Wide
vessels come out half such a voxel too wide or too narrow: what of their outermost voxels is not that bright is liver.
Where vessels are not clear of the noise, as without contrast, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Collection

import cc3d
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bodies import ANY_NEIGHBOR
from liver_seg_ros.inference.brightness import Brightness
from liver_seg_ros.inference.bundle import THIN_VESSELS, VESSEL_BORDERS
from liver_seg_ros.inference.layers import for_each_layer
from liver_seg_ros.inference.neighborhood import highest_near
from liver_seg_ros.inference.reach import further_than
from liver_seg_ros.labels import BACKGROUND, LIVER, TUMOR, VESSEL

#: A voxel is vessel from this share of the brightest one within `_WIDTH_MM`, which a vessel has in its middle.
_HALF = 0.45
_WIDTH_MM = 2.0
#: Nothing is followed this near to what is no liver, which shines into it, nor to tumors, whose rims may be as bright.
_FROM_OUTSIDE_MM, _FROM_TUMORS_MM = 3.0, 2.0


def in_own_voxels(
    labels: NDArray[np.uint8], brightness: Brightness, geometry: Geometry, steps: Collection[str]
) -> NDArray[np.uint8]:
    """`labels` with those voxels of liver as vessels that thin branches run through, and dim borders as liver.

    Args:
        labels: `(K, J, I)`, not changed; of liver, tumors and vessels.
        brightness: of the CT there.
        geometry: their grid.
        steps: `THIN_VESSELS` follows branches, `VESSEL_BORDERS` looks at borders.

    Returns:
        `(K, J, I)`; the same array where there is nothing to do.
    """
    noise, contrast = brightness.noise, brightness.contrast
    vessel = labels == VESSEL.value
    if not brightness.vessels_stand_out or not vessel.any():
        return labels

    def compare_in(layer: Box) -> None:
        reach = geometry.voxels_over(max(_WIDTH_MM, _FROM_OUTSIDE_MM, _FROM_TUMORS_MM))
        around = layer.padded(reach, geometry.size)
        own = layer.seen_from(around).slices
        near, excess = labels[around.slices], brightness.excess(around)
        liver = near == LIVER.value
        peak = np.where(liver | (near == VESSEL.value), excess, np.iinfo(np.int16).min)
        for axis, spacing_mm in enumerate(geometry.spacing_mm[::-1]):
            peak = highest_near(peak, max(1, round(_WIDTH_MM / spacing_mm)), axis)
        is_bright = excess > _HALF * np.minimum(peak, contrast)
        dim[layer.slices] = vessel[layer.slices] & ~is_bright[own]
        if THIN_VESSELS not in steps:
            return
        asked = np.zeros_like(liver)
        asked[own] = liver[own]
        asked &= is_bright & (excess > noise) & (excess < brightness.brightest)
        for other, reach_mm in ((BACKGROUND, _FROM_OUTSIDE_MM), (TUMOR.value, _FROM_TUMORS_MM)):
            asked = further_than(near == other, asked, geometry.crop(around), reach_mm)
        bright[layer.slices] = asked[own]

    bright, dim = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
    for_each_layer(compare_in, brightness.layers)
    changed = labels.copy()
    if THIN_VESSELS in steps:
        bodies = cc3d.connected_components(bright | vessel, connectivity=ANY_NEIGHBOR)
        is_vessel = np.zeros(int(bodies.max()) + 1, bool)
        is_vessel[bodies[vessel]] = True
        changed[bright & is_vessel[bodies]] = VESSEL.value
    if VESSEL_BORDERS in steps:
        dim_at = np.argwhere(dim)
        changed[tuple(dim_at[_beside_liver(changed, dim_at)].T)] = LIVER.value
    return changed


def _beside_liver(labels: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """`(N,)` whether a neighbor (faces) of the voxels `at` `(N, 3)`, as `(k, j, i)`, is liver."""
    beside = np.zeros(len(at), bool)
    for axis, end in enumerate(labels.shape):
        for step in (-1, 1):
            neighbor = at.copy()
            neighbor[:, axis] = np.clip(neighbor[:, axis] + step, 0, end - 1)
            beside |= labels[tuple(neighbor.T)] == LIVER.value
    return beside
