# SPDX-License-Identifier: Apache-2.0
"""What lies in the liver, at the grid's own voxels: veins, tumors, and in varied phantoms what imitates tumors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.phantom.fields import Field, spline_matrix, superellipsoid
from liver_seg_ros.phantom.painting import Grid, Inset, vessel_distance
from liver_seg_ros.phantom.tumors import Tumor
from liver_seg_ros.phantom.vessel_graph import VesselGraph


def vein_inset(grid: Grid, graph: VesselGraph, hu: float, label: int = VESSEL.value) -> list[Inset]:
    """A tree of vessels with blood of `hu`; nothing where the grid holds none of it."""
    reach = float(graph.radius_mm.max()) + 3
    box = grid.box(graph.points_mm.min(axis=0) - reach, graph.points_mm.max(axis=0) + reach)
    if box is None:
        return []
    return [Inset(box, vessel_distance(grid.crop(box), graph), ((0.0, hu),), label)]


def tumor_insets(grid: Grid, tumors: tuple[Tumor, ...], liver_hu: float) -> list[Inset]:
    """The tumors that the grid holds, in a liver of `liver_hu`."""
    insets = []
    for tumor in tumors:
        reach = max(tumor.radii_mm) * 1.5 + 4
        box = grid.box(np.array(tumor.center_mm) - reach, np.array(tumor.center_mm) + reach)
        if box is None:
            continue
        hu = liver_hu + tumor.contrast_hu
        layers = [(0.0, hu + tumor.rim_hu)]
        if tumor.rim_hu:
            layers.append((-max(1.5, 0.15 * tumor.diameter_mm / 2), hu))
        if tumor.necrosis:
            layers.append((-(1 - tumor.necrosis) * tumor.diameter_mm / 2, tumor.necrosis_hu))
        part = grid.crop(box)
        texture = _tumor_texture(part, tumor, hu) if tumor.mottle_hu or tumor.inclusion_share else None
        insets.append(Inset(box, tumor.distance(part.points), tuple(layers), TUMOR.value, texture))
    return insets


def _tumor_texture(grid: Grid, tumor: Tumor, hu: float) -> Field:
    """HU to add inside a tumor of `hu`: its mottles, and the inclusions instead of what they replace."""
    rng = np.random.default_rng((tumor.shape_seed, 1))
    drawn_mm = float(rng.uniform(2, 9))
    texture = tumor.mottle_hu * _grid_noise(rng, grid, tumor.mottle_mm or drawn_mm)
    if tumor.inclusion_share:
        lumps = _grid_noise(rng, grid, max(2.5, tumor.diameter_mm * float(rng.uniform(0.1, 0.3))))
        inside = tumor.distance(grid.points) < 0
        if inside.any():
            edge = np.quantile(lumps[inside], 1 - tumor.inclusion_share)
            cover = np.clip((lumps - edge) * 4 + 0.5, 0, 1)
            texture = texture + cover * np.float32(tumor.inclusion_hu - hu)
    return np.asarray(texture, dtype=np.float32)


def imitators(
    grid: Grid, inside: NDArray[np.float64], portal: VesselGraph, liver_hu: float, rng: np.random.Generator
) -> list[Inset]:
    """What looks like a tumor and is none: cysts, spared or fatty patches, bile ducts, granulomas, clips.

    Args:
        inside: `(N, 3)` LPS points in the liver.
        portal: bile ducts run along it.
    """
    insets = cysts(grid, inside, rng, (1, 5)) if rng.random() < 0.3 else []
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 3))):  # fades out: layers that differ by little
            step = float(rng.uniform(3, 8)) * (1 if rng.random() < 0.3 else -1)
            layers = [(-n * 1.5, liver_hu + step * (n + 1)) for n in range(4)]
            insets += _ball(grid, inside, float(rng.uniform(6, 18)), layers, rng, stretch=2.5)
    if rng.random() < 0.12:  # widened bile ducts beside the portal branches
        offset = rng.uniform(-1, 1, 3) + portal.radius_mm[:, None] * np.array([0.9, -0.9, 0.0])
        ducts = replace(portal, points_mm=portal.points_mm + offset, radius_mm=portal.radius_mm * rng.uniform(0.3, 0.7))
        insets += vein_inset(grid, ducts, float(rng.uniform(2, 22)), LIVER.value)
    if rng.random() < 0.15:
        for _ in range(int(rng.integers(1, 4))):
            insets += _ball(grid, inside, float(rng.uniform(1, 2.5)), [(0.0, float(rng.uniform(200, 2500)))], rng)
    return insets


def cysts(
    grid: Grid, inside: NDArray[np.float64], rng: np.random.Generator, count: tuple[int, int] = (2, 7)
) -> list[Inset]:
    """Simple cysts of 4 to 32 mm: `count` of them, the last excluded; `inside` as above."""
    insets = []
    for _ in range(int(rng.integers(*count))):
        cyst_hu = float(rng.uniform(-4, 14))
        insets += _ball(grid, inside, float(rng.uniform(2, 16)), [(0.0, cyst_hu)], rng)
    return insets


def _ball(
    grid: Grid,
    inside: NDArray[np.float64],
    radius_mm: float,
    layers: list[tuple[float, float]],
    rng: np.random.Generator,
    stretch: float = 1.3,
) -> list[Inset]:
    """An ellipsoid somewhere in the liver, its label the liver's."""
    center = inside[rng.integers(len(inside))]
    radii = radius_mm * np.exp(rng.uniform(-1, 1, 3) * np.log(stretch))
    reach = float(radii.max()) + 4
    box = grid.box(center - reach, center + reach)
    if box is None:
        return []
    turn = Rotation.from_rotvec(rng.uniform(-1.5, 1.5, 3)).as_matrix()
    points = grid.crop(box).points
    return [Inset(box, superellipsoid(points, center, radii, 2.0, turn), tuple(layers), LIVER.value)]


def _grid_noise(rng: np.random.Generator, grid: Grid, scale_mm: float) -> Field:
    """Unit-variance noise at the grid's voxels, smooth at `scale_mm`."""
    matrices = []
    for axis in (grid.z, grid.y, grid.x):
        positions = (axis - axis[0]) / scale_mm + 1
        matrices.append(spline_matrix(positions, int(positions[-1]) + 4))
    k, j, i = matrices
    noise = rng.standard_normal((k.shape[1], j.shape[1], i.shape[1])).astype(np.float32)
    noise = np.matmul(np.matmul(j, np.tensordot(k, noise, axes=(1, 0))), i.T)
    return np.asarray(noise / max(float(noise.std()), 1e-6), dtype=np.float32)
