# SPDX-License-Identifier: Apache-2.0
"""The upper abdomen in the template frame of `trunk.py`: the liver and everything that gives it its shape.

The liver fills the right upper abdomen as the soft organ that it is: the union of two lobes, cut by the diaphragm, the
chest wall and an oblique visceral plane, and dented by kidney, gallbladder, stomach, cava, spine and hilum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liver_seg_ros.phantom.fields import (
    Field,
    Points,
    smooth_intersection,
    smooth_union,
    subtract,
    superellipsoid,
    tube,
)
from liver_seg_ros.phantom.trunk import Build, Trunk

#: Where the portal vein enters the liver, and where the three hepatic veins leave the cava, in template units.
HILUM = (-26.0, -8.0, 6.0)
CAVAL_CONFLUENCE = (-17.0, 10.0, 58.0)
#: Roughly the liver's middle, about which a field of view is centered.
LIVER_CENTER = (-45.0, -5.0, 8.0)


@dataclass(frozen=True, eq=False)
class Organs:
    """The liver's field in mm and the other shapes in painting order."""

    liver: Field
    shapes: list[tuple[str, Field]]


def build_organs(points: Points, build: Build, trunk: Trunk, noise: list[Field], rng: np.random.Generator) -> Organs:
    """The organs at `points` (template units); `noise` are three unit-variance fields smooth at some 30 mm."""
    mm = np.float32(build.mean_scale)
    gap = build.gap_mm
    room = smooth_intersection(trunk.cavity + 0.5 + gap * 0.6, trunk.below_diaphragm + 3.5, 6.0)

    def jitter(center: tuple[float, float, float], by: float) -> NDArray[np.float64]:
        return np.asarray(center) + rng.uniform(-by, by, 3)

    def ellipsoid(center: tuple[float, float, float], radii: tuple[float, float, float], by: float = 5) -> Field:
        size = np.asarray(radii) * rng.uniform(0.85, 1.15, 3)
        turn = Rotation.from_euler("xyz", rng.uniform(-12, 12, 3), degrees=True).as_matrix()
        return superellipsoid(points, jitter(center, by), size, rng.uniform(1.9, 2.4), turn) * mm

    def vessel(path: list[tuple[float, float, float]], radius: float, by: float = 3) -> Field:
        bent = [np.asarray(path[0]), *(jitter(p, by) for p in path[1:-1]), np.asarray(path[-1])]
        return tube(points, bent, np.full(len(path), radius)) * mm

    aorta = vessel([(10, 30, -200), (11, 29, -60), (9, 29, 40), (12, 33, 120)], rng.uniform(8, 12.5))
    cava_radius = rng.uniform(8.5, 13)
    cava = vessel([(-21, 31, -200), (-22, 29, -60), (-21, 23, 10), CAVAL_CONFLUENCE, (-10, 2, 95)], cava_radius, 2)
    portal_radius = rng.uniform(5.0, 7.0)
    trunk_vein = np.minimum(
        vessel([(6, -2, -42), (-10, -6, -18), HILUM], portal_radius),
        np.minimum(
            vessel([(6, -2, -42), (8, -12, -90), (5, -15, -150)], portal_radius * 0.85, 6),
            vessel([(6, -2, -42), (45, 12, -12), (92, 30, 18)], portal_radius * 0.75, 6),
        ),
    )
    kidney_right = ellipsoid((-58, 50, -60), (27, 24, 54), 7) + noise[0] * 1.0
    kidney_left = ellipsoid((60, 48, -46), (27, 24, 54), 7) + noise[0] * 1.0
    gallbladder = ellipsoid((-50, -42, -36), (14, 19, 32), 8)
    stomach = ellipsoid((56, -28, 30), (50, 40, 42), 10) + noise[1] * 3.0
    spleen = ellipsoid((104, 36, 34), (36, 46, 52), 8) + noise[2] * 2.0

    liver = _liver(points, build, room, noise, rng)
    for neighbor, away in ((kidney_right, gap), (gallbladder, 0.8), (cava, 0.5), (aorta, 4.0), (trunk_vein, 0.8)):
        liver = subtract(liver, neighbor, away)
    stomach = subtract(np.maximum(stomach, room), liver, gap * 0.6)
    spleen = subtract(subtract(np.maximum(spleen, room), stomach, gap * 0.6), kidney_left, gap)
    spleen = subtract(spleen, liver, gap * 0.6)

    shapes: list[tuple[str, Field]] = []
    for organ in _bowel(points, build, rng):
        shapes += [(name, subtract(np.maximum(f, trunk.cavity + 3), liver, gap * 0.6)) for name, f in organ]
    shapes += [("bladder", superellipsoid(points, jitter((0, -25, -330), 15), (46, 40, 38)) * mm)]
    pancreas = tube(points, [jitter(p, 6) for p in ((-22, -8, -30), (18, -16, -18), (80, 22, 16))], [13, 10, 9]) * mm
    shapes += [("pancreas", subtract(pancreas + noise[2] * 2.5, liver, gap * 0.6))]
    for kidney, side in ((kidney_right, -1), (kidney_left, 1)):
        sinus = superellipsoid(points, (side * 46, 44, -53), (13, 9, 22)) * mm
        shapes += [("kidney_cortex", kidney), ("kidney_medulla", kidney + 7 + noise[1] * 2), ("visceral_fat", sinus)]
    level = points.y - rng.uniform(-75, 10)  # gas rises to the front of a patient lying on the back
    shapes += [
        ("spleen", spleen),
        ("stomach_wall", stomach),
        ("stomach_content", stomach + 4),
        ("gas", np.maximum(stomach + 4.5, level * mm)),
        ("aorta", np.maximum(aorta, trunk.cavity - 5)),
        ("cava", cava),
        ("portal_vein", trunk_vein),
    ]
    if rng.random() < 0.85:  # the others had it removed
        shapes += [("gallbladder_wall", gallbladder - 0.5), ("bile", gallbladder + 1.5)]
    return Organs(liver.astype(np.float32), shapes)


def _liver(points: Points, build: Build, room: Field, noise: list[Field], rng: np.random.Generator) -> Field:
    mm = np.float32(build.mean_scale)
    z = points.z - rng.uniform(-8, 8)
    # A wide trunk does not hold a liver as much wider: it is smaller there relative to the cavity, but stays under the
    # right dome and against the chest wall.
    small = 0.88 * float(np.clip(mm ** np.float32(-0.75), 0.7, 1.1))
    center = (-68 + rng.uniform(-5, 5) - 55 * (1 - small), 2.0, 4 + 75 * (1 - small))
    right = superellipsoid(points, center, np.array([76, 92, 90]) * small * rng.uniform(0.92, 1.08, 3), 2.3)
    reach = rng.uniform(0.6, 1.15)  # the left lobe varies more than anything else in the abdomen
    left = superellipsoid(points, (0, -46, 42), (95 * reach * small, 48 * small, 40 * rng.uniform(0.8, 1.15)), 2.2)
    lobes = smooth_union(right, left, 25) * mm
    slope = rng.uniform(0.85, 1.3)
    visceral = points.x + rng.uniform(0.4, 0.7) * points.y - slope * z + rng.uniform(8, 26)
    visceral = visceral / np.float32(np.sqrt(1 + 0.3 + slope**2)) * mm + noise[1] * 6
    liver = smooth_intersection(lobes + noise[0] * 4, visceral, 14)
    fissure_x = rng.uniform(-8, 6)
    fissure = np.maximum(np.abs(points.x - fissure_x - 0.15 * points.y) - rng.uniform(0.5, 2.5), z - 15)
    fissure = np.maximum(fissure, points.y + 15) * mm
    hilum = superellipsoid(points, HILUM, (15, 10, 9)) * mm + noise[2] * 1.5
    liver = smooth_intersection(liver, room, 6)
    return subtract(subtract(liver, fissure), hilum)


def _bowel(points: Points, build: Build, rng: np.random.Generator) -> list[list[tuple[str, Field]]]:
    """Loops of small bowel and a colon, each a list of wall, content and gas."""
    mm = np.float32(build.mean_scale)
    loops = []
    colon = [(-95, 10, -150), (-92, -15, -85), (-60, -62, -75), (0, -70, -85), (70, -60, -50), (98, 10, -30)]
    colon = [*colon, (104, 30, -120), (95, 10, -200)]
    bent = [np.asarray(p) + rng.uniform(-10, 10, 3) for p in colon]
    loops.append((tube(points, bent, rng.uniform(14, 24, len(bent))) * mm, "feces"))
    for _ in range(int(rng.integers(8, 18))):
        start = np.array([rng.uniform(-85, 85), rng.uniform(-65, 20), rng.uniform(-230, -70)])
        path = np.cumsum([start, *rng.normal(0, 28, (2, 3))], axis=0)
        loops.append((tube(points, path, rng.uniform(9, 17, 3)) * mm, "bowel_content"))
    organs = []
    for field, content in loops:
        wall = "colon_wall" if content == "feces" else "small_bowel_wall"
        shapes = [(wall, field), (content, field + 3)]
        if rng.random() < 0.5:
            shapes.append(("gas", np.maximum(field + 3.5, (points.y - rng.uniform(-75, 0)) * mm)))
        organs.append(shapes)
    return organs
