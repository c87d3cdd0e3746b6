# SPDX-License-Identifier: Apache-2.0
"""Tumors: where they sit in the liver, what shape they have and how they look in each phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liver_seg_ros.geometry import Vector
from liver_seg_ros.phantom.fields import Field, Points, sample_lattice, spline_matrix, superellipsoid
from liver_seg_ros.phantom.tissue import Phase
from liver_seg_ros.plain import plain_fields
from liver_seg_ros.short_repr import short_repr

SMALLEST_MM, LARGEST_MM = 5.0, 60.0
#: A tumor must differ from the liver around it by this much, or no reader could see it.
LEAST_CONTRAST_HU = {"none": 12.0, "arterial": 16.0, "portal_venous": 24.0}


@dataclass(frozen=True)
class Tumor:
    """Ground truth of one tumor.

    Attributes:
        center_mm: LPS.
        diameter_mm: of the ball of equal volume before the liver's surface cuts it.
        contrast_hu: its HU minus the liver's; negative is hypodense.
        rim_hu: what the outer shell adds to that, 0 without a rim.
        necrosis: fraction of the radius that is necrotic core, 0 without.
        necrosis_hu: that core's HU.
        radii_mm: semi-axes.
        rotation: rotation vector of the semi-axes, radians.
        shape_seed: seed of the surface's irregularity.
        lobulation: size of that irregularity as a fraction of the radius.
        mottle_hu: standard deviation of its own texture, 0 without.
        mottle_mm: size of that texture's grains; 0 draws 2 to 9 from `shape_seed`.
        inclusion_hu: HU of what is scattered in it (calcification, lipiodol, blood).
        inclusion_share: share of its volume that they fill, 0 without.
        bulges: the liver's capsule goes around it, instead of cutting it.
    """

    center_mm: Vector
    diameter_mm: float
    contrast_hu: float
    rim_hu: float
    necrosis: float
    necrosis_hu: float
    radii_mm: Vector
    rotation: Vector
    shape_seed: int
    lobulation: float
    mottle_hu: float = 0.0
    inclusion_hu: float = 0.0
    inclusion_share: float = 0.0
    bulges: bool = False
    mottle_mm: float = 0.0

    __repr__ = short_repr
    to_dict = plain_fields

    def distance(self, points: Points) -> Field:
        """Signed distance in mm at LPS points given as three arrays that broadcast, one along each axis."""
        turn = Rotation.from_rotvec(self.rotation).as_matrix()
        base = superellipsoid(points, self.center_mm, self.radii_mm, 2.0, turn)
        control = np.random.default_rng(self.shape_seed).standard_normal((8, 8, 8)).astype(np.float32)
        steps_per_mm = 2.5 / (max(self.radii_mm) * 1.4)
        axes = zip((points.z, points.y, points.x), reversed(self.center_mm), strict=True)
        matrices = [spline_matrix((axis.ravel() - center) * steps_per_mm + 3.5, 8) for axis, center in axes]
        return base + sample_lattice(control, *matrices) * np.float32(self.lobulation * min(self.radii_mm) * 1.8)


def draw_tumors(
    count: int,
    inside: NDArray[np.float64],
    depth_mm: NDArray[np.float64],
    vessel_clearance_mm: NDArray[np.float64],
    phase: Phase,
    rng: np.random.Generator,
) -> tuple[Tumor, ...]:
    """Up to `count` tumors that do not overlap, some touching the capsule, some a vessel.

    Args:
        inside: `(N, 3)` LPS points in the liver, tumors are centered on some of them.
        depth_mm: `(N,)` depth of those points under the capsule, positive.
        vessel_clearance_mm: `(N,)` distance of those points to the nearest vessel wall.
    """
    tumors: list[Tumor] = []
    for _ in range(count):
        diameter = float(np.exp(rng.uniform(np.log(SMALLEST_MM), np.log(LARGEST_MM))))
        radius = diameter / 2
        wish = rng.choice(["anywhere", "capsule", "vessel"], p=[0.5, 0.25, 0.25])
        allowed = depth_mm > radius * 0.9
        if wish == "capsule":
            allowed = np.abs(depth_mm - radius * 0.7) < max(2.0, radius * 0.25)
        elif wish == "vessel":
            allowed &= np.abs(vessel_clearance_mm - radius) < max(1.5, radius * 0.2)
        center = free_place(tumors, inside, allowed, radius, 1.25, 2, rng)
        if center is not None:
            tumors.append(_draw_tumor(center, diameter, phase, rng))
    return tuple(tumors)


def free_place(
    tumors: Sequence[Tumor],
    inside: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    radius_mm: float,
    share: float,
    gap_mm: float,
    rng: np.random.Generator,
) -> NDArray[np.float64] | None:
    """One of the `(N, 3)` points `inside` that are `allowed` for a tumor of `radius_mm`; None where none is free.

    Its center is further from the others' than `share` of both radii and `gap_mm`.
    """
    free = allowed.copy()
    for other in tumors:
        distance = np.linalg.norm(inside - np.array(other.center_mm), axis=1)
        free &= distance > (radius_mm + other.diameter_mm / 2) * share + gap_mm
    places = np.flatnonzero(free)
    return inside[rng.choice(places)] if places.size else None


def _draw_tumor(center: NDArray[np.float64], diameter: float, phase: Phase, rng: np.random.Generator) -> Tumor:
    axes = rng.uniform(0.8, 1.25, 3)
    axes *= diameter / 2 / np.cbrt(np.prod(axes))
    bright_odds = {"none": 0.05, "arterial": 0.6, "portal_venous": 0.2}[phase]
    least = LEAST_CONTRAST_HU[phase]
    bright = rng.random() < bright_odds
    contrast = rng.uniform(least, least + 45) if bright else -rng.uniform(least, least + 45)
    rim = rng.uniform(10, 45) * (1 if rng.random() < 0.7 else -0.5) if rng.random() < 0.35 and diameter > 12 else 0.0
    necrosis = rng.uniform(0.3, 0.75) if rng.random() < 0.4 and diameter > 18 else 0.0
    x, y, z = (float(v) for v in center)
    rx, ry, rz = (float(v) for v in axes)
    ax, ay, az = (float(v) for v in Rotation.random(random_state=int(rng.integers(2**31))).as_rotvec())
    return Tumor(
        (x, y, z),
        diameter,
        float(contrast),
        float(rim),
        float(necrosis),
        float(rng.uniform(8, 35)),
        (rx, ry, rz),
        (ax, ay, az),
        int(rng.integers(2**31)),
        float(rng.uniform(0.0, 0.14)),
    )
