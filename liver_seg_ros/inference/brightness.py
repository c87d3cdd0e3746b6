# SPDX-License-Identifier: Apache-2.0
"""How bright a CT is inside the liver, against the liver around, and what of that is noise and what are vessels.

How noisy a scan is shows in what is darker than liver, where hardly anything is; how bright vessels are, in those that
were found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.layers import for_each_layer, layers_of
from liver_seg_ros.inference.neighborhood import eroded
from liver_seg_ros.labels import LIVER, VESSEL
from liver_seg_ros.short_repr import short_repr

#: Standard deviation of the Gaussian that is laid over the CT: noise of a voxel goes, a twig stays.
_SMOOTHING_MM = 0.7
_TRUNCATE = 3.0  # so many standard deviations of it
#: Likewise, of the one that says how bright the liver is around a place.
_SURROUNDINGS_MM = 12.0
#: Every so many voxels along each axis say that, and how noisy it is.
_SAMPLED = 4
_SAMPLES = (slice(None, None, _SAMPLED),) * 3
#: Vessels stand out where they are this many times as bright as noise.
_LEAST_CONTRAST = 1.5
#: So many in a hundred voxels of liver are darker than its middle by more than noise that is called so.
_NOISE_PERCENT = 0.5
#: Beyond these HU bone and metal are all the same.
_LOW_HU, _HIGH_HU = -200, 600
_PER_HU = 16  # whole numbers of two bytes, of a sixteenth HU


@dataclass(frozen=True, eq=False)
class Brightness:
    """Of a box of a CT; all numbers in sixteenths of HU.

    Attributes:
        layers: the liver's.
        noise: what hardly any voxel of liver is darker by than what is usual around it.
        contrast: how much brighter than that vessels are, in their middle.
        brightest: what no vessel is brighter than.
    """

    layers: list[Box]
    noise: float
    contrast: float
    brightest: float
    _smooth: NDArray[np.int16]
    _usual: NDArray[np.int16]

    __repr__ = short_repr

    @staticmethod
    def of(labels: NDArray[np.uint8], hu: NDArray[np.int16], geometry: Geometry) -> Brightness | None:
        """Of `labels` and `hu` `(K, J, I)` on `geometry`; None where there are no vessels, or too little liver."""
        vessel, quiet = labels == VESSEL.value, _quiet(labels)
        if not vessel.any() or not quiet.any():
            return None
        layers = layers_of(labels)
        smooth, middle = _smoothed(labels, hu, layers, geometry)
        usual = _usual(smooth[_SAMPLES], quiet, geometry)
        sample = (smooth[_SAMPLES] - usual)[quiet]
        noise = float(np.median(sample) - np.percentile(sample, _NOISE_PERCENT))
        at = np.unravel_index(np.flatnonzero(middle if middle.any() else vessel), middle.shape)
        found = smooth[at] - usual[tuple(n // _SAMPLED for n in at)]
        contrast, brightest = float(np.median(found)), float(np.percentile(found, 98)) + noise
        return Brightness(layers, noise, contrast, brightest, smooth, usual)

    @property
    def vessels_stand_out(self) -> bool:
        """Whether vessels are clear of the noise, as they are not without contrast."""
        return self.contrast >= _LEAST_CONTRAST * self.noise

    def excess(self, box: Box) -> NDArray[np.int16]:
        """`(K, J, I)` of `box`: how much brighter than usual the CT is, smoothed; right inside `layers` alone."""
        i, j, k = (np.arange(a, b) // _SAMPLED for a, b in zip(box.start, box.stop, strict=True))
        excess = self._smooth[box.slices].copy()
        for plane, row in zip(excess, k.tolist(), strict=True):
            plane -= self._usual[row][j[:, None], i]
        return excess


def _quiet(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Sampled: where is liver, and no sampled neighbor is a tumor or outside."""
    sampled = labels[_SAMPLES]
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
