# SPDX-License-Identifier: Apache-2.0
"""Vessels that are too thin for the network's voxels, followed in the CT's own.

A branch of 2 mm fills a part of a voxel of 1.5 mm, and a network that sees such voxels loses it, while the CT shows it
well above its noise. So from the vessels that the network found, what is bright enough is followed through the liver:
hysteresis (Canny 1986) on the CT at its own spacing, with thresholds that the scan itself gives. How noisy it is shows
in what is darker than liver, where there are no vessels; how bright vessels are, in those that were found. Where these
are not clear of the noise, as without contrast, nothing is followed.
"""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bodies import ANY_NEIGHBOR
from liver_seg_ros.inference.layers import for_each_layer, layers_of
from liver_seg_ros.inference.neighborhood import eroded, highest_near
from liver_seg_ros.inference.reach import further_than
from liver_seg_ros.labels import BACKGROUND, LIVER, TUMOR, VESSEL

#: Standard deviation of the Gaussian that is laid over the CT: noise of a voxel goes, a twig stays.
_SMOOTHING_MM = 0.7
_TRUNCATE = 3.0  # so many standard deviations of it
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
    box = box.padded(geometry.voxels_over(_FROM_OUTSIDE_MM), geometry.size)  # with what lies beside it
    inner, crop = labels[box.slices], geometry.crop(box)
    vessel, quiet = inner == VESSEL.value, _quiet(inner)
    if not vessel.any() or not quiet.any():
        return labels
    layers = layers_of(inner)
    smooth, middle = _smoothed(inner, hu[box.slices], layers, crop)
    usual = _usual(smooth[_sampled(3)], quiet, crop)
    sample = (smooth[_sampled(3)] - usual)[quiet]
    noise = float(np.median(sample) - np.percentile(sample, _NOISE_PERCENT))
    at = np.unravel_index(np.flatnonzero(middle if middle.any() else vessel), middle.shape)
    found = smooth[at] - usual[tuple(n // _SAMPLED for n in at)]
    contrast, brightest = float(np.median(found)), float(np.percentile(found, 98)) + noise
    if contrast < _LEAST_CONTRAST * noise:
        return labels

    def bright_in(layer: Box) -> None:
        around = layer.padded(crop.voxels_over(max(_WIDTH_MM, _FROM_OUTSIDE_MM, _FROM_TUMORS_MM)), crop.size)
        near, excess = inner[around.slices], _excess(smooth, usual, around)
        liver = near == LIVER.value
        peak = np.where(liver | (near == VESSEL.value), excess, np.iinfo(np.int16).min)
        for axis, spacing_mm in enumerate(crop.spacing_mm[::-1]):
            peak = highest_near(peak, max(1, round(_WIDTH_MM / spacing_mm)), axis)
        asked = np.zeros_like(liver)
        own = layer.seen_from(around).slices
        asked[own] = liver[own]
        asked &= (excess > noise) & (excess < brightest) & (excess > _HALF * np.minimum(peak, contrast))
        for other, reach_mm in ((BACKGROUND, _FROM_OUTSIDE_MM), (TUMOR.value, _FROM_TUMORS_MM)):
            asked = further_than(near == other, asked, crop.crop(around), reach_mm)
        bright[layer.slices] = asked[own]

    bright = np.zeros(inner.shape, bool)
    for_each_layer(bright_in, layers)
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
    return eroded(inside) & (sampled == LIVER.value)


def _smoothed(
    labels: NDArray[np.uint8], hu: NDArray[np.int16], layers: list[Box], geometry: Geometry
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """`(K, J, I)`, known in `layers` alone: the CT in sixteenths of HU, smoothed; and where vessels are inside."""
    smooth, middle = np.zeros(hu.shape, np.int16), np.zeros(hu.shape, bool)
    deviation = _SMOOTHING_MM / np.array(geometry.spacing_mm[::-1])

    def smooth_in(layer: Box) -> None:
        around = layer.padded(geometry.voxels_over(_TRUNCATE * _SMOOTHING_MM + max(geometry.spacing_mm)), geometry.size)
        own = layer.seen_from(around).slices
        part = np.clip(hu[around.slices], _LOW_HU, _HIGH_HU) * np.int16(_PER_HU)
        gaussian_filter(part, deviation, output=part, truncate=_TRUNCATE)
        smooth[layer.slices] = part[own]
        middle[layer.slices] = eroded(labels[around.slices] == VESSEL.value)[own]

    for_each_layer(smooth_in, layers)
    return smooth, middle


def _usual(sampled: NDArray[np.int16], quiet: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.int16]:
    """Sampled: how bright the `quiet` liver around each place is, of the smoothed CT `sampled`."""
    weight = quiet.astype(np.float32)
    around = [_SURROUNDINGS_MM / (_SAMPLED * s) for s in geometry.spacing_mm[::-1]]
    total = gaussian_filter(weight * sampled, around, truncate=2)
    share = gaussian_filter(weight, around, truncate=2)
    return np.where(share > 0.01, total / np.maximum(share, 0.01), np.median(sampled[quiet])).astype(np.int16)


def _excess(smooth: NDArray[np.int16], usual: NDArray[np.int16], box: Box) -> NDArray[np.int16]:
    """`(K, J, I)` of `box`: how much brighter than is `usual` the CT is, in sixteenths of HU."""
    i, j, k = (np.arange(a, b) // _SAMPLED for a, b in zip(box.start, box.stop, strict=True))
    excess = smooth[box.slices].copy()
    for plane, row in zip(excess, k.tolist(), strict=True):
        plane -= usual[row][j[:, None], i]
    return excess
