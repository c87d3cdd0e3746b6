# SPDX-License-Identifier: Apache-2.0
"""How a real CT's noise and edges are, measured where its liver is, and noise that is like it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector

_GAUSSIAN_MEDIAN_OF_SQUARES = 0.4549
#: Noise this many voxels apart is taken as independent.
_FAR = 3
_LEAST_VOXELS = 500
#: Profiles through the liver's surface: how far they reach, how many, and the least step from liver to fat or lung.
_REACH_MM, _STEP_MM, _PROFILES, _LEAST_STEP_HU = 6.0, 0.25, 4000, 80.0
#: The width where no such surface is in the CT, mm: that of a usual soft kernel.
_USUAL_EDGE_MM = 0.9


@dataclass(frozen=True)
class ScanTexture:
    """What a scanner and its kernel made of a liver.

    Attributes:
        liver_hu: median of the liver's HU, its vessels and lesions being the lesser part.
        noise_hu: standard deviation of the noise.
        grain_voxels: standard deviation of the Gaussian that white noise was smoothed with, along `(i, j, k)`.
        edge_mm: standard deviation of the Gaussian that an edge is blurred with.
    """

    liver_hu: float
    noise_hu: float
    grain_voxels: Vector
    edge_mm: float

    def noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
        """Noise of this strength and grain, `(K, J, I)`."""
        white = rng.standard_normal(shape, dtype=np.float32)
        grain = gaussian_filter(white, self.grain_voxels[::-1], mode="wrap", truncate=3.0)
        return np.asarray(grain * np.float32(self.noise_hu / max(float(grain.std()), 1e-6)), np.float32)


def measure_texture(hu: NDArray[np.int16], depth_mm: NDArray[np.float32], spacing_mm: Vector) -> ScanTexture:
    """The texture of a CT, from what differs within its liver and from the liver's border to fat and lung.

    Noise is told from anatomy by medians: vessels and lesions move few of the differences between near voxels. Of noise
    with a Gaussian grain of s voxels, the differences at distance d have the variance 2 v (1 - exp(-d^2 / 4 s^2)).

    Args:
        hu: `(K, J, I)`.
        depth_mm: `(K, J, I)` distance to the liver's surface, positive inside.
        spacing_mm: along `(i, j, k)`.

    Raises:
        InputError: there are too few voxels of liver 3 mm under its surface.
    """
    core = depth_mm > 3
    if np.count_nonzero(core) < _LEAST_VOXELS:
        raise InputError(
            "the liver of the mask has hardly a voxel 3 mm under its surface: nothing can be measured in it"
        )
    far = [_variance(hu, core, axis, _FAR) for axis in (2, 1)]
    variance = float(np.mean(far)) / 2
    grains = [_grain(_variance(hu, core, axis, 1), variance) for axis in (2, 1, 0)]
    return ScanTexture(
        liver_hu=float(np.median(hu[core])),
        noise_hu=float(np.sqrt(variance)),
        grain_voxels=(grains[0], grains[1], grains[2]),
        edge_mm=_edge_mm(hu, depth_mm, spacing_mm),
    )


def _variance(hu: NDArray[np.int16], core: NDArray[np.bool_], axis: int, distance: int) -> float:
    """Of the differences of voxels of `core` that lie `distance` voxels apart along `axis`; 0 where there are none."""
    near = np.moveaxis(hu, axis, 0)
    inside = np.moveaxis(core, axis, 0)
    both = inside[distance:] & inside[:-distance]
    differences = near[distance:][both].astype(np.float32) - near[:-distance][both]
    if differences.size == 0:
        return 0.0
    # Whole HU come in steps of 1, whose median is a step too: some dither makes it smooth, and its variance is 1/6.
    differences += np.random.default_rng(0).uniform(-0.5, 0.5, differences.shape).astype(np.float32) * 2
    return max(float(np.median(differences**2)) / _GAUSSIAN_MEDIAN_OF_SQUARES - 1 / 3, 0.0)


def _grain(variance_of_neighbors: float, variance: float) -> float:
    correlation = 1 - variance_of_neighbors / max(2 * variance, 1e-6)
    if correlation < 0.02:
        return 0.0
    return float(min(0.5 / np.sqrt(-np.log(min(correlation, 0.99))), 3.0))


def _edge_mm(hu: NDArray[np.int16], depth_mm: NDArray[np.float32], spacing_mm: Vector) -> float:
    """From the steepest slope of profiles through the surface: of a step h blurred with s it is h / (s sqrt(2 pi)).

    So it does not matter how far the mask's border is off. Slopes are taken from means over profiles of one direction's
    neighbors only where they are steep enough, and of all the lower half counts: a slanted or doubled edge is wider.
    """
    spacing = np.array(spacing_mm[::-1])
    k, j, i = np.nonzero((depth_mm > 0) & (depth_mm <= max(spacing_mm)))
    if k.size == 0:
        return _USUAL_EDGE_MM
    some = np.random.default_rng(0).permutation(k.size)[:_PROFILES]
    points = np.stack([k, j, i], axis=1)[some].astype(np.float64)
    smooth = gaussian_filter(depth_mm, 1.5)
    normals = np.stack(
        [map_coordinates(gradient, points.T, order=1) for gradient in np.gradient(smooth, *spacing)], axis=1
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    flat = np.abs(normals[:, 0]) < 0.5  # across the slices an edge is as wide as they are thick
    points, normals = points[flat], normals[flat]
    at_mm = np.arange(-_REACH_MM, _REACH_MM + _STEP_MM / 2, _STEP_MM)
    places = points[:, None] + at_mm[None, :, None] * (normals / spacing)[:, None]
    profiles = map_coordinates(hu.astype(np.float32), places.reshape(-1, 3).T, order=1, mode="nearest")
    profiles = gaussian_filter(profiles.reshape(places.shape[:2]), (0, 1.0))  # 0.25 mm, against noise
    ends = round(2 / _STEP_MM)
    steps = profiles[:, -ends:].mean(axis=1) - profiles[:, :ends].mean(axis=1)
    slopes = np.diff(profiles, axis=1).max(axis=1) / _STEP_MM if len(profiles) else np.empty(0)
    sharp = steps > _LEAST_STEP_HU
    if np.count_nonzero(sharp) < 50:
        return _USUAL_EDGE_MM
    widths = steps[sharp] / slopes[sharp] / np.sqrt(2 * np.pi)
    # Reading between voxels and the smoothing above blur as well.
    own = float(np.quantile(widths, 0.4)) ** 2 - _STEP_MM**2 - np.mean(np.square(spacing_mm[:2])) / 6
    return float(np.sqrt(np.clip(own, 0.3**2, 3.0**2)))
