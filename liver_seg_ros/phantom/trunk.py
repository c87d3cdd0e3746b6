# SPDX-License-Identifier: Apache-2.0
"""The trunk around the organs: skin, fat, muscle, ribs, spine, pelvis, lungs, diaphragm and the table.

Everything is placed in a template frame whose abdominal cavity has half-axes of 135 mm (left-right) and 95 mm
(antero-posterior), z = 0 at the liver's middle; `Build` says how many mm one template unit is for this patient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liver_seg_ros.phantom.fields import Field, Points, smooth_union, subtract, superellipsoid, tube


@dataclass(frozen=True)
class Build:
    """A patient's proportions: mm per template unit along each axis, and thicknesses in mm."""

    scale: tuple[float, float, float]
    fat_mm: float
    wall_mm: float
    breath: float  # how far the diaphragm stands from its middle position, template units, + is up
    gap_mm: float  # fat between neighboring organs
    rib_period: float
    arms_down: bool

    @property
    def mean_scale(self) -> float:
        """mm per template unit where a direction does not matter."""
        return float(np.mean(self.scale))

    @staticmethod
    def draw(rng: np.random.Generator) -> Build:
        """A patient between slim and obese, breathing in or out."""
        girth = rng.uniform(0.85, 1.25)
        return Build(
            scale=(girth, girth * rng.uniform(0.88, 1.15), float(rng.uniform(0.88, 1.15))),
            fat_mm=float(np.clip(rng.gamma(2.5, 7.0) * girth, 4, 55)),
            wall_mm=float(rng.uniform(10, 20)),
            breath=float(rng.uniform(-12, 12)),
            gap_mm=float(rng.uniform(0.2, 4.0)),
            rib_period=float(rng.uniform(25, 33)),
            arms_down=bool(rng.random() < 0.15),
        )


@dataclass(frozen=True, eq=False)
class Trunk:
    """The fields that organs are fitted into, all in mm: negative inside."""

    cavity: Field  # inside of the chest and abdominal wall, spine excluded
    below_diaphragm: Field  # the half-space under the diaphragm
    spine: Field
    shapes: list[tuple[str, Field]]  # tissue and field, in painting order, up to and including the lungs


def build_trunk(points: Points, build: Build, noise: Field, rng: np.random.Generator) -> Trunk:
    """The trunk at `points` (template units); `noise` is unit-variance noise smooth at some 40 mm."""
    x, y, z = points.x, points.y, points.z
    mm = np.float32(build.mean_scale)
    waist = 1 - 0.06 * np.exp(-(((z + 90) / 60) ** 2)) + 0.05 * np.clip(-(z + 150) / 80, 0, 1)
    shaped = Points(x / waist, y / waist, z)
    flat = Points(shaped.x, shaped.y, np.zeros_like(z))

    inner = superellipsoid(flat, (0, 0, 0), (135, 95, 1), 2.3) * mm + noise * 1.5
    wall = float(build.wall_mm)
    back = np.clip(y / 95, 0, 1)
    muscle = inner - wall * (0.6 + 0.8 * back)
    skin = inner - wall * (0.6 + 0.8 * back) - build.fat_mm * (1.0 - 0.35 * back) + noise * 1.2

    vertebra_wave = 1.5 * np.cos(2 * np.pi * z / 33)
    vertebra = tube(points, [(0, 57, -400), (0, 57, 300)], [21, 19]) - vertebra_wave
    canal = tube(points, [(0, 86, -400), (0, 86, 300)], [8, 8])
    process = np.maximum(
        np.minimum(superellipsoid(flat, (0, 104, 0), (5, 16, 1)), np.abs(y - 84) + np.abs(x) * 0.25 - 13),
        np.abs((z % 33) - 16.5) - 10,
    )
    spine = np.minimum(vertebra, tube(points, [(0, 88, -400), (0, 88, 300)], [15, 15])) * mm
    erectors = np.minimum(
        superellipsoid(flat, (30, 97, 0), (25, 17, 1)), superellipsoid(flat, (-30, 97, 0), (25, 17, 1))
    )
    psoas = np.minimum(
        tube(points, [(30, 62, -20), (48, 52, -150), (75, 10, -260)], [10, 22, 22]),
        tube(points, [(-30, 62, -20), (-48, 52, -150), (-75, 10, -260)], [10, 22, 22]),
    )
    cavity = subtract(inner, np.minimum(spine, erectors * mm), 2.0)

    dome = _diaphragm(points) + np.float32(build.breath)
    below = (z - dome) * np.float32(0.75) * mm
    heart = superellipsoid(points, (28, -30, 112 + build.breath), (66, 50, 46)) * mm
    mediastinum = tube(points, [(8, 15, 40), (8, 15, 300)], [24, 34]) * mm
    lung = subtract(subtract(np.maximum(cavity + 1.5, -below + 3.0), heart, 2.0), mediastinum)
    diaphragm = np.maximum(cavity, np.abs(below - 1.0) - 2.0)

    ribs, cartilage = _ribs(points, inner, build)
    pelvis = _pelvis(points) * mm
    shapes: list[tuple[str, Field]] = [
        ("bed", _table(points, skin)),
        ("fat", skin),
        ("muscle", muscle),
        ("muscle", erectors * mm),
        ("visceral_fat", inner),
        ("bowel_wall", np.maximum(inner + 4, (np.float32(rng.uniform(0.3, 2.5)) - noise) * 12)),
        ("muscle", psoas * mm),
        ("muscle", diaphragm),
        ("heart", np.maximum(heart, -below)),
        ("visceral_fat", np.maximum(mediastinum, -below)),
        ("lung", lung),
        ("cortical_bone", ribs),
        ("marrow", ribs + 2.2),
        ("cartilage", cartilage),
        ("cortical_bone", np.minimum(vertebra, process) * mm),
        ("marrow", (vertebra + 2.0) * mm),
        ("canal", canal * mm),
        ("cortical_bone", pelvis),
        ("marrow", pelvis + 2.5),
    ]
    if build.arms_down:
        for side in (-1, 1):
            reach = side * (150 + (build.fat_mm + wall) / float(build.scale[0]) + rng.uniform(25, 45))
            arm = tube(points, [(reach, 20, 300), (reach * 1.03, 5, -300)], [38, 28]) * mm
            bone = tube(points, [(reach, 20, 300), (reach * 1.03, 5, -300)], [10, 8]) * mm
            shapes += [("fat", arm), ("muscle", arm + 7), ("cortical_bone", bone), ("marrow", bone + 3)]
    return Trunk(cavity, below, spine, shapes)


def _diaphragm(points: Points) -> Field:
    """Height of the diaphragm over `(x, y)`: two domes that fall steeply into the costophrenic recesses."""
    x, y = points.x, points.y
    sagittal = 12 * (y / 80) ** 2 + 75 * np.clip(y / 92, 0, 1.3) ** 8 + 40 * np.clip(-y / 95, 0, 1.3) ** 6
    right = 90 - 16 * ((x + 66) / 62) ** 2 - 70 * np.clip(-(x + 66) / 68, 0, 1.3) ** 8
    left = 78 - 16 * ((x - 70) / 60) ** 2 - 70 * np.clip((x - 70) / 64, 0, 1.3) ** 8
    center = 66 - 0.2 * np.abs(x)
    return np.maximum(-smooth_union(-right, -left, 20), center) - sagittal


def _ribs(points: Points, inner: Field, build: Build) -> tuple[Field, Field]:
    """Bony ribs and their cartilage: slanting bands in the middle of the chest wall."""
    x, y, z = points.x, points.y, points.z
    phase = (z - 0.5 * y) % build.rib_period - build.rib_period / 2
    band = np.sqrt((inner - 5.0) ** 2 + (phase * 0.85) ** 2) - 5.2
    costal_margin = -45 - 0.55 * (z - 20)  # anterior of this, a rib is cartilage or has ended
    bony = np.maximum(band, costal_margin - y)
    bony = np.maximum(bony, -70 - z)
    bony = np.maximum(bony, 20 - np.abs(x))
    cartilage = np.maximum(np.maximum(band, y - costal_margin), costal_margin - 45 - y)
    return bony.astype(np.float32), np.maximum(np.maximum(cartilage, 5 - z), 12 - np.abs(x)).astype(np.float32)


def _pelvis(points: Points) -> Field:
    """Iliac wings and sacrum, which larger fields of view reach."""
    wings = []
    for side in (-1, 1):
        tilt = np.deg2rad(side * 25)
        rotation = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
        wings.append(superellipsoid(points, (side * 92, 45, -255), (11, 55, 62), 2.0, rotation))
    sacrum = superellipsoid(points, (0, 75, -275), (45, 16, 50))
    joint = [superellipsoid(points, (side * 95, 20, -330), (28, 28, 32)) for side in (-1, 1)]
    return np.minimum(np.minimum(wings[0], wings[1]), np.minimum(sacrum, np.minimum(joint[0], joint[1])))


def _table(points: Points, skin: Field) -> Field:
    """The scanner's table: a curved plate that touches the back."""
    inside = skin < 0
    back = float(points.y[inside].max()) if inside.any() else 130.0
    height = points.y - (back + 6 - 0.0009 * points.x**2)
    return np.maximum(np.abs(height) - 3.0, np.abs(points.x) - 210.0).astype(np.float32)
