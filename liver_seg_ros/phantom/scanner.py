# SPDX-License-Identifier: Apache-2.0
"""What a scanner makes of a noise-free image: reconstruction kernel, noise with a grain, streaks, beam hardening."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

_Image = NDArray[np.float32]  # (K, J, I) HU


def scanned(hu: NDArray[np.int16], noise_hu: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """`hu` `(K, J, I)` as another scanner, with another kernel, would have shown it.

    `noise_hu` is the standard deviation of the noise, streaks not counted.
    """
    image = hu.astype(np.float32)
    image = _kernel(image, rng)
    image += noise_hu * _grain(image.shape, rng)
    if rng.random() < 0.3:
        image += _streaks(image.shape, rng)
    if rng.random() < 0.08:
        image += _metal(image, rng)
    if rng.random() < 0.4:
        image += _cupping(image, rng)
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16)


def _kernel(image: _Image, rng: np.random.Generator) -> _Image:
    """A soft kernel, or a breath, blurs; a sharp kernel overshoots at edges in plane."""
    draw, sigma = rng.random(), float(rng.uniform(0.3, 1.7))
    if draw < 0.6:
        across = float(rng.uniform(0.2, 1.0)) if rng.random() < 0.4 else 0.0
        return np.asarray(gaussian_filter(image, (across, sigma, sigma), truncate=3.0), np.float32)
    if draw < 0.8:
        blurred = gaussian_filter(image, (0, 1.0, 1.0))
        return np.asarray(image + np.float32(rng.uniform(0.2, 1.0)) * (image - blurred), np.float32)
    return image


def _grain(shape: tuple[int, ...], rng: np.random.Generator) -> _Image:
    """Unit-variance noise; a share of it is coarse, and slices that overlap share theirs."""
    fine, coarse = rng.uniform(0.3, 1.2), rng.uniform(1.5, 4.0)
    across = rng.uniform(0.0, 0.9) if rng.random() < 0.5 else 0.0
    white = rng.standard_normal(shape, dtype=np.float32)
    noise = gaussian_filter(white, (across, fine, fine), truncate=2.5)
    noise /= max(float(noise.std()), 1e-6)
    if rng.random() < 0.5:
        lumps = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), (across, coarse, coarse), truncate=2.5)
        noise += lumps * np.float32(rng.uniform(0.1, 0.6) / max(float(lumps.std()), 1e-6))
        noise /= max(float(noise.std()), 1e-6)
    return np.asarray(noise, np.float32)


def _streaks(shape: tuple[int, ...], rng: np.random.Generator) -> _Image:
    """Photon starvation between the arms or shoulders: streaks from left to right."""
    noise = gaussian_filter1d(rng.standard_normal(shape, dtype=np.float32), float(rng.uniform(15, 50)), axis=2)
    noise = gaussian_filter1d(noise, float(rng.uniform(0.5, 1.5)), axis=1)
    return np.asarray(noise * np.float32(rng.uniform(3, 14) / max(float(noise.std()), 1e-6)), np.float32)


def _metal(image: _Image, rng: np.random.Generator) -> _Image:
    """A clip, stent or wire somewhere: a very bright speck and a star of streaks on the slices around it."""
    count, rows, columns = image.shape
    k, j, i = (int(rng.uniform(0.2, 0.8) * n) for n in image.shape)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    radius = np.hypot(y - j, x - i)
    angle = np.arctan2(y - j, x - i)
    added = np.zeros_like(image)
    rays = rng.standard_normal(128).astype(np.float32)
    rays = gaussian_filter1d(rays, 1.0, mode="wrap") * np.float32(2)
    star = rays[((angle + np.pi) / (2 * np.pi) * 127.99).astype(int)]
    star = star * np.float32(rng.uniform(300, 1500)) / (radius + 6)
    for slice_number in range(max(0, k - 3), min(count, k + 4)):
        added[slice_number] = star * np.float32(rng.uniform(0.3, 1.0))
        added[slice_number][radius < rng.uniform(1, 3)] += 2000
    return added


def _cupping(image: _Image, rng: np.random.Generator) -> _Image:
    """Beam hardening: the middle darker or brighter than the border by some HU."""
    _, rows, columns = image.shape
    y, x = np.linspace(-1, 1, rows, dtype=np.float32)[:, None], np.linspace(-1, 1, columns, dtype=np.float32)
    bowl: _Image = np.float32(rng.uniform(-12, 12)) * (y**2 + x**2 - 0.5)
    return np.broadcast_to(bowl, image.shape)
