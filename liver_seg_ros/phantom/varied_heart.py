# SPDX-License-Identifier: Apache-2.0
"""A heart with chambers, walls and fat around it, resting on the liver.

Seen on a patient: where the heart lies on the left lobe, the diaphragm between them is thinner than a voxel, and the
heart's muscle in the portal-venous phase is as bright as the liver. To a network that has seen hearts of one grey, each
behind a clear diaphragm, the muscle was liver and the blood in it a lesion.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy.spatial.transform import Rotation

from liver_seg_ros.phantom.fields import Field, Points, smooth_noise, superellipsoid
from liver_seg_ros.phantom.tissue import Phase, Range
from liver_seg_ros.phantom.trunk import Build, Trunk

#: Muscle of the heart, HU.
_MUSCLE_HU: dict[Phase, Range] = {"none": (34, 56), "arterial": (70, 140), "portal_venous": (80, 135)}

#: Each chamber: its center from that of the heart and its radii, in template units; what fills it; how thick the
#: heart's wall is around it, mm.
_CHAMBERS = (
    ((18, 14, -6), (27, 20, 30), "left_heart_blood", (6, 13)),  # left ventricle
    ((-10, -22, -8), (34, 17, 28), "right_heart_blood", (2, 5)),  # right ventricle
    ((-38, 4, 4), (19, 20, 26), "right_heart_blood", (1, 4)),  # right atrium
    ((-4, 34, 12), (26, 15, 24), "left_heart_blood", (1, 4)),  # left atrium
)


def with_heart(trunk: Trunk, points: Points, build: Build, step_mm: float, rng: Generator) -> list[tuple[str, Field]]:
    """The trunk's shapes with another heart, which the lungs give way to; `points` in template units.

    Args:
        step_mm: of the lattice that `points` are.
    """
    shapes = [(name, field) for name, field in trunk.shapes if name != "heart"]
    behind_lungs = 1 + max(number for number, (name, _) in enumerate(shapes) if name == "lung")
    return [*shapes[:behind_lungs], *_heart(trunk, points, build, step_mm, rng), *shapes[behind_lungs:]]


def muscle_hu(phase: Phase, rng: Generator) -> float:
    """Grey value of a heart's muscle."""
    return float(rng.uniform(*_MUSCLE_HU[phase]))


def _heart(trunk: Trunk, points: Points, build: Build, step_mm: float, rng: Generator) -> list[tuple[str, Field]]:
    """Fat, muscle and chambers, in painting order.

    The fat around it is painted beyond it, its muscle down to between the middle of the diaphragm and its lower side.
    """
    mm = np.float32(build.mean_scale)
    lower = rng.uniform(0, 26)  # the more of it, the broader it rests on the diaphragm
    center = np.array([28, -30, 112 + build.breath - lower]) + rng.normal(0, 6, 3)
    body = superellipsoid(points, center, np.array([66, 50, 46]) * rng.uniform(0.9, 1.1)) * mm
    body = body + smooth_noise(rng, body.shape, step_mm, 30.0) * np.float32(rng.uniform(0, 2))
    rests_at = np.float32(rng.uniform(-0.5, 2.5))
    above = -trunk.below_diaphragm
    heart = np.maximum(np.maximum(body, above + rests_at), trunk.cavity)
    shapes: list[tuple[str, Field]] = []
    if rng.random() < 0.7:  # more on one side than on the other, and often none below
        depth = np.float32(rng.uniform(0, 6)) + smooth_noise(rng, body.shape, step_mm, 40.0) * np.float32(4)
        shapes.append(("visceral_fat", np.maximum(np.maximum(body - np.maximum(depth, 0), above + 1), trunk.cavity)))
    shapes.append(("myocardium", heart))
    turn = Rotation.from_euler("xyz", rng.uniform(-20, 20, 3), degrees=True).as_matrix()
    for place, radii, blood, wall_mm in _CHAMBERS:
        at = center + place + rng.normal(0, 3, 3)
        chamber = superellipsoid(points, at, np.asarray(radii) * rng.uniform(0.75, 1.15, 3), 2.2, turn) * mm
        shapes.append((blood, np.maximum(chamber, heart + np.float32(rng.uniform(*wall_mm)))))
    return shapes
