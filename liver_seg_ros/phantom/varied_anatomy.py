# SPDX-License-Identifier: Apache-2.0
"""What makes outline and surroundings differ: lobules, fissures, further lobes, fat, fluid, mesentery."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liver_seg_ros.phantom.fields import (
    Field,
    Points,
    smooth_intersection,
    smooth_noise,
    smooth_union,
    subtract,
    superellipsoid,
    tube,
)
from liver_seg_ros.phantom.organs import Organs
from liver_seg_ros.phantom.trunk import Build, Trunk

#: Neighbors that the liver is grown around, and how far from them it ends, mm.
_KEPT_CLEAR = {"cava": 0.5, "aorta": 3.0, "portal_vein": 0.8}


def vary_liver(
    organs: Organs, trunk: Trunk, points: Points, build: Build, step_mm: float, rng: np.random.Generator
) -> Field:
    """The liver of `organs` with another outline, in mm; `points` in template units, on a lattice of `step_mm`."""
    shape, mm = organs.liver.shape, np.float32(build.mean_scale)
    liver = organs.liver
    for lobe, blend_mm in _further_lobes(points, mm, rng):
        liver = smooth_union(liver, lobe, blend_mm)
    room = smooth_intersection(trunk.cavity + 1.0, trunk.below_diaphragm + 3.5, float(rng.uniform(1, 6)))
    liver = smooth_intersection(liver, room, float(rng.uniform(1, 6)))
    for name, field in organs.shapes:
        if name in _KEPT_CLEAR:
            liver = subtract(liver, field, _KEPT_CLEAR[name])
    liver = liver + smooth_noise(rng, shape, step_mm, float(rng.uniform(12, 22))) * np.float32(rng.uniform(0, 2.5))
    if rng.random() < 0.25:  # cirrhosis: nodules
        liver = liver + smooth_noise(rng, shape, step_mm, float(rng.uniform(8, 11))) * np.float32(rng.uniform(1, 2.2))
    whole = liver
    for _ in range(int(rng.integers(0, 5))):
        liver = subtract(liver, _fissure(whole, points, mm, step_mm, rng))
    if rng.random() < 0.07:  # the left lateral part was resected
        liver = np.maximum(liver, (points.x - np.float32(rng.uniform(5, 45))) * mm)
    # The smallest details can come apart at the lattice's scale; what is labelled must also be what is painted.
    return np.asarray(liver, dtype=np.float32)


def _further_lobes(points: Points, mm: np.float32, rng: np.random.Generator) -> list[tuple[Field, float]]:
    """Lobes that most livers have more or less of, with the width of their blend in mm."""

    def at(*center: float) -> NDArray[np.float64]:
        return np.asarray(center) + rng.uniform(-8, 8, 3)

    lobes: list[tuple[Field, float]] = []
    if rng.random() < 0.55:  # a left lobe that reaches over stomach and spleen, thin at its tip
        tip = (rng.uniform(55, 125), rng.uniform(-55, 25), rng.uniform(25, 70))
        flat = Points(points.x, points.y, points.z * np.float32(1.8))
        path = np.array([at(10, -45, 45), at(45, -48, 48), tip]) * (1, 1, 1.8)
        lobes.append((tube(flat, path, (rng.uniform(20, 34), rng.uniform(16, 28), rng.uniform(4, 14))) * mm * 0.7, 12))
    if rng.random() < 0.25:  # Riedel's lobe
        radii = np.array([24, 34, 62]) * rng.uniform(0.75, 1.2, 3)
        lobes.append((superellipsoid(points, at(-88, 0, -60), radii) * mm, 12))
    if rng.random() < 0.6:  # caudate lobe
        turn = Rotation.from_euler("xyz", rng.uniform(-20, 20, 3), degrees=True).as_matrix()
        radii = np.array([18, 13, 26]) * rng.uniform(0.7, 1.3, 3)
        lobes.append((superellipsoid(points, at(-8, 14, 28), radii, 2.2, turn) * mm, 6))
    if rng.random() < 0.5:  # the right lobe's tip behind the lung's recess
        radii = np.array([28, 24, 55]) * rng.uniform(0.75, 1.2, 3)
        lobes.append((superellipsoid(points, at(-95, 48, -10), radii) * mm, 12))
    return lobes


def _fissure(liver: Field, points: Points, mm: np.float32, step_mm: float, rng: np.random.Generator) -> Field:
    """A thin curved cleft that enters the liver from its surface and ends within it."""
    k, j, i = np.nonzero(np.abs(liver) < step_mm)
    if k.size == 0:
        return np.full_like(liver, 1.0)
    at = int(rng.integers(k.size))
    center = np.array([float(axis[k[at], j[at], i[at]]) for axis in (points.x, points.y, points.z)], np.float32)
    normal = rng.standard_normal(3)
    normal = (normal / np.linalg.norm(normal)).astype(np.float32)
    dx, dy, dz = points.x - center[0], points.y - center[1], points.z - center[2]
    bent = smooth_noise(rng, liver.shape, step_mm, 30.0) * np.float32(2.5)
    sheet = np.abs((dx * normal[0] + dy * normal[1] + dz * normal[2]) * mm + bent) - np.float32(rng.uniform(1.0, 3.0))
    reach = np.sqrt(dx**2 + dy**2 + dz**2) * mm - np.float32(rng.uniform(20, 60))
    return np.maximum(np.maximum(sheet, reach), -liver - np.float32(rng.uniform(6, 28)))


def vary_surroundings(
    organs: Organs, trunk: Trunk, liver: Field, points: Points, step_mm: float, rng: np.random.Generator
) -> list[tuple[str, Field]]:
    """All shapes in painting order, those of trunk and organs and more around and between them."""
    shape = liver.shape
    shapes: list[tuple[str, Field]] = []
    for name, field in trunk.shapes:
        shapes.append((name, field))
        if name == "muscle":  # sheets of fat between the muscles
            sheets = np.abs(smooth_noise(rng, shape, step_mm, 14.0)) * 7 - np.float32(rng.uniform(-0.5, 1.2))
            shapes.append(("fat", np.maximum(field + 1.5, sheets)))
        if name == "lung" and rng.random() < 0.2:  # an effusion, or lung without air, in the dependent part
            level = (np.float32(rng.uniform(20, 70)) - points.y) * 1.0
            shapes.append(("effusion", np.maximum(field + 0.5, level)))
    for _ in range(int(rng.integers(5, 25))):  # vessels and strands of the mesentery
        start = np.array([rng.uniform(-80, 90), rng.uniform(-60, 25), rng.uniform(-120, 40)])
        path = np.cumsum([start, *rng.normal(0, 16, (3, 3))], axis=0)
        name = str(rng.choice(["mesenteric_vein", "mesenteric_artery", "bowel_wall"]))
        strand = tube(points, path, rng.uniform(0.8, 3.5, 4))
        shapes.append((name, np.maximum(strand, trunk.cavity + 4)))
    shapes += organs.shapes
    if rng.random() < 0.15:
        around = np.maximum(liver - np.float32(rng.uniform(1, 14)), trunk.cavity + 1)
        shapes.append(("ascites", np.maximum(around, trunk.below_diaphragm + 2)))
    return shapes
