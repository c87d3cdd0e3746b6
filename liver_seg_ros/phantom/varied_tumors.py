# SPDX-License-Identifier: Apache-2.0
"""Tumors beyond those of `tumors.py`: tiny to huge, mottled, calcified, filled with lipiodol, confluent, bulging."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liver_seg_ros.geometry import Vector
from liver_seg_ros.phantom.tissue import Phase
from liver_seg_ros.phantom.tumors import LEAST_CONTRAST_HU, Tumor, free_place

SMALLEST_MM, LARGEST_MM = 4.0, 110.0
_BRIGHT_ODDS: dict[Phase, float] = {"none": 0.1, "arterial": 0.5, "portal_venous": 0.25}


def draw_varied_tumors(
    count: int, inside: NDArray[np.float64], depth_mm: NDArray[np.float64], phase: Phase, rng: np.random.Generator
) -> tuple[Tumor, ...]:
    """Up to `count` tumors, and satellites that run together with some of them.

    Args:
        inside: `(N, 3)` LPS points in the liver, tumors are centered on some of them.
        depth_mm: `(N,)` depth of those points under the capsule, positive.
    """
    tumors: list[Tumor] = []
    huge = rng.random() < 0.35  # at most one that is larger than 50 mm
    for number in range(count):
        low, high = (50.0, LARGEST_MM) if huge and number == 0 else (SMALLEST_MM, 50.0)
        diameter = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        radius = diameter / 2
        allowed = depth_mm > min(radius * rng.uniform(0.2, 1.0), 0.8 * depth_mm.max())
        center = free_place(tumors, inside, allowed, radius, 1.15, 1, rng)
        if center is None:
            continue
        tumor = draw_tumor(center, diameter, phase, rng)
        tumors.append(tumor)
        if rng.random() < 0.15:
            tumors += [satellite(tumor, rng) for _ in range(int(rng.integers(1, 4)))]
    return tuple(tumors)


def draw_tumor(center: NDArray[np.float64], diameter: float, phase: Phase, rng: np.random.Generator) -> Tumor:
    """One tumor about `center` `(3,)`, of `diameter` mm, whatever it looks like."""
    axes = rng.uniform(0.7, 1.4, 3)
    axes *= diameter / 2 / np.cbrt(np.prod(axes))
    least = LEAST_CONTRAST_HU[phase]
    bright = rng.random() < _BRIGHT_ODDS[phase]
    contrast = rng.uniform(least, least + 80) if bright else -rng.uniform(least, least + 70)
    large = diameter > 12
    necrotic, treated = rng.random() < 0.35 and large, rng.random() < 0.2
    ax, ay, az = (float(v) for v in Rotation.random(random_state=int(rng.integers(2**31))).as_rotvec())
    return Tumor(
        center_mm=_vector(center),
        diameter_mm=diameter,
        contrast_hu=float(contrast),
        rim_hu=float(rng.uniform(-25, 80)) if rng.random() < 0.4 and large else 0.0,
        necrosis=float(rng.uniform(0.3, 0.92)) if necrotic else 0.0,
        necrosis_hu=float(rng.uniform(0, 45)),
        radii_mm=_vector(axes),
        rotation=(ax, ay, az),
        shape_seed=int(rng.integers(2**31)),
        lobulation=float(rng.uniform(0.0, 0.22)),
        mottle_hu=float(rng.uniform(3, 35)) if rng.random() < 0.5 and large else 0.0,
        # A calcification is a small part and very bright; lipiodol and blood fill much, and are anything but dark.
        inclusion_hu=float(rng.choice([rng.uniform(110, 220), rng.uniform(200, 900)])) if treated else 0.0,
        inclusion_share=float(np.exp(rng.uniform(np.log(0.03), np.log(0.6)))) if treated else 0.0,
        bulges=bool(rng.random() < 0.3),
    )


def satellite(tumor: Tumor, rng: np.random.Generator) -> Tumor:
    """A part of the same lesion, half outside of it."""
    direction = rng.standard_normal(3)
    direction *= tumor.diameter_mm / 2 * rng.uniform(0.7, 1.1) / np.linalg.norm(direction)
    share = rng.uniform(0.4, 0.9)
    return replace(
        tumor,
        center_mm=_vector(np.array(tumor.center_mm) + direction),
        diameter_mm=tumor.diameter_mm * share,
        radii_mm=_vector(np.array(tumor.radii_mm) * share),
        shape_seed=int(rng.integers(2**31)),
    )


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(v) for v in values)
    return x, y, z
