# SPDX-License-Identifier: Apache-2.0
"""Vessels that are too thin for the network's voxels, followed in the CT's own.

A branch of 2 mm fills a part of a voxel of 1.5 mm, and a network that sees such voxels loses it, while the CT shows it
well above its noise. So from the vessels that the network found, what is bright enough is followed through the liver:
hysteresis (Canny 1986) on the CT at its own spacing, with thresholds that the scan itself gives. How noisy it is shows
in what is darker than liver, where there are no vessels; how bright vessels are, in those that were found. Where these
are not clear of the noise, as without contrast, nothing is followed.
"""

from __future__ import annotations

from math import ceil

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter, maximum_filter

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bodies import ANY_NEIGHBOR
from liver_seg_ros.inference.reach import further_than
from liver_seg_ros.labels import BACKGROUND, LIVER, TUMOR, VESSEL

#: Standard deviation of the Gaussian that is laid over the CT: noise of a voxel goes, a twig stays.
_SMOOTHING_MM = 0.7
#: Likewise, of the one that says how bright the liver is around a place.
_SURROUNDINGS_MM = 12.0
#: Every so many voxels along each axis say that, and how noisy it is.
_SAMPLED = 4
#: So many in a hundred voxels of liver are darker than its middle by more than noise that is called so.
_NOISE_PERCENT = 0.5
#: A voxel is vessel from this share of the brightest one within `_WIDTH_MM`, which a vessel has in its middle.
_HALF = 0.45
_WIDTH_MM = 2.0
#: Vessels are followed where they are this many times as bright as noise.
_LEAST_CONTRAST = 1.5
#: Nothing is followed this near to what is no liver, which shines into it, nor to tumors, whose rims may be as bright.
_FROM_OUTSIDE_MM, _FROM_TUMORS_MM = 3.0, 2.0
#: Beyond these HU bone and metal are all the same.
_LOW_HU, _HIGH_HU = -200, 600
_PER_HU = 16  # whole numbers of two bytes, of a sixteenth HU


def follow_thin_vessels(labels: NDArray[np.uint8], hu: NDArray[np.int16], geometry: Geometry) -> NDArray[np.uint8]:
    """`labels` with those voxels of liver as vessels that thin branches of its vessels run through.

    Args:
        labels: `(K, J, I)`, not changed; of liver, tumors and vessels.
        hu: `(K, J, I)`, the CT.
        geometry: their grid.

    Returns:
        `(K, J, I)`; the same array where there is nothing to follow.
    """
    box = Box.around(labels)
    if box is None:
        return labels
    # With what lies beside it, to know what is near to it.
    i, j, k = (ceil(_FROM_OUTSIDE_MM / s) for s in geometry.spacing_mm)
    box = box.padded((i, j, k), geometry.size)
    inner, crop = labels[box.slices], geometry.crop(box)
    liver, vessel = inner == LIVER.value, inner == VESSEL.value
    quiet = _quiet(inner)
    if not vessel.any() or not quiet.any():
        return labels
    excess = _excess(hu[box.slices], quiet, crop)
    sample = excess[_sampled(3)][quiet]
    noise = float(np.median(sample) - np.percentile(sample, _NOISE_PERCENT))
    middle = vessel & binary_erosion(vessel)
    found = excess[middle if middle.any() else vessel]
    contrast, brightest = float(np.median(found)), float(np.percentile(found, 98)) + noise
    if contrast < _LEAST_CONTRAST * noise:
        return labels

    peak = np.where(liver | vessel, excess, np.iinfo(np.int16).min)
    peak = maximum_filter(peak, [2 * max(1, round(_WIDTH_MM / s)) + 1 for s in geometry.spacing_mm[::-1]])
    bright = liver & (excess > noise) & (excess < brightest) & (excess > _HALF * np.minimum(peak, contrast))
    for other, reach_mm in ((inner == BACKGROUND, _FROM_OUTSIDE_MM), (inner == TUMOR.value, _FROM_TUMORS_MM)):
        bright = further_than(other, bright, crop, reach_mm)
    bodies = cc3d.connected_components(bright | vessel, connectivity=ANY_NEIGHBOR)
    is_vessel = np.zeros(int(bodies.max()) + 1, bool)
    is_vessel[bodies[vessel]] = True
    more = labels.copy()
    more[box.slices][bright & is_vessel[bodies]] = VESSEL.value
    return more


def _sampled(axes: int) -> tuple[slice, ...]:
    return (slice(None, None, _SAMPLED),) * axes


def _quiet(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Sampled: where is liver, and no sampled neighbor is a tumor or outside."""
    sampled = labels[_sampled(3)]
    inside = (sampled == LIVER.value) | (sampled == VESSEL.value)
    deep: NDArray[np.bool_] = binary_erosion(inside) & (sampled == LIVER.value)
    return deep


def _excess(hu: NDArray[np.int16], quiet: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.int16]:
    """`(K, J, I)`: how much brighter than the `quiet` liver around it the CT is, in sixteenths of HU, smoothed."""
    spacing_mm = np.array(geometry.spacing_mm[::-1])
    excess = np.clip(hu, _LOW_HU, _HIGH_HU) * np.int16(_PER_HU)
    gaussian_filter(excess, _SMOOTHING_MM / spacing_mm, output=excess, truncate=3)
    weight = quiet.astype(np.float32)
    around = [_SURROUNDINGS_MM / (_SAMPLED * s) for s in spacing_mm]
    total = gaussian_filter(weight * excess[_sampled(3)], around, truncate=2)
    share = gaussian_filter(weight, around, truncate=2)
    middle = np.median(excess[_sampled(3)][quiet])
    usual = np.where(share > 0.01, total / np.maximum(share, 0.01), middle).astype(np.int16)
    j, i = (np.arange(n) // _SAMPLED for n in excess.shape[1:])
    for k, plane in enumerate(excess):
        plane -= usual[k // _SAMPLED][j[:, None], i]
    return excess
