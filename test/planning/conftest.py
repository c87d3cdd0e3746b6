# SPDX-License-Identifier: Apache-2.0
"""A patient to plan on, vessel trees made by hand or taken from a phantom's truth, and a trunk of known tissues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, map_coordinates

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import VESSEL, Structure
from liver_seg_ros.phantom import Phantom, generate_phantom
from liver_seg_ros.phantom.fields import Field, smooth_noise
from liver_seg_ros.phantom.lattice import Lattice
from liver_seg_ros.phantom.organs import LIVER_CENTER, build_organs
from liver_seg_ros.phantom.painting import Grid, Scene, Shape, render
from liver_seg_ros.phantom.phantom_options import PhantomOptions
from liver_seg_ros.phantom.tissue import TISSUES, Phase, hu_of
from liver_seg_ros.phantom.trunk import Build, build_trunk
from liver_seg_ros.phantom.vessel_graph import VesselGraph
from liver_seg_ros.progress import no_progress
from liver_seg_ros.vessel_tree import Branch, VesselTree
from liver_seg_ros.volume import LabelVolume, Volume


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    return generate_phantom(9100, PhantomOptions(size=(128, 128, 90), spacing_mm=(2.2, 2.2, 2.8), tumor_count=4))


@pytest.fixture(scope="session")
def portal(phantom) -> VesselTree:
    """The phantom's true portal vein."""
    return _tree_of(phantom.portal)


def _tree_of(graph: VesselGraph, structure: Structure = VESSEL) -> VesselTree:
    """The graph as a `VesselTree`: a branch ends where a node has not exactly one child."""
    count = len(graph.parent)
    children = np.bincount(graph.parent[graph.parent >= 0], minlength=count)
    branch = np.full(count, -1, np.int64)
    branches: list[Branch] = []

    def add(parent: int, tree: int, generation: int) -> int:
        branches.append(Branch(len(branches), parent, tree, generation, structure, 0.0, 0.0))
        return len(branches) - 1

    begun: dict[int, int] = {}  # of a root: the branch that begins in it, until a child takes it
    for node, parent in enumerate(graph.parent):
        if parent < 0:
            branch[node] = begun[node] = add(-1, len(begun), 0)
        elif children[parent] == 1 or parent in begun:
            branch[node] = begun.pop(parent, branch[parent])
        else:
            before = branches[branch[parent]]
            branch[node] = add(before.number, before.tree, before.generation + 1)
    return _measured(VesselTree(graph.points_mm, graph.radius_mm, graph.parent, branch, tuple(branches)))


def _measured(tree: VesselTree) -> VesselTree:
    """The same tree with the branches' lengths and radii."""
    length = np.where(
        tree.parent < 0, 0.0, np.linalg.norm(tree.points_mm - tree.points_mm[tree.parent.clip(min=0)], axis=1)
    )
    total = np.bincount(tree.branch, length, minlength=len(tree.branches))
    radius = np.bincount(tree.branch, length * tree.radius_mm, minlength=len(tree.branches)) / total.clip(min=1e-9)
    branches = tuple(
        Branch(b.number, b.parent, b.tree, b.generation, b.structure, float(total[b.number]), float(radius[b.number]))
        for b in tree.branches
    )
    return VesselTree(tree.points_mm, tree.radius_mm, tree.parent, tree.branch, branches)


@pytest.fixture(scope="session")
def fork() -> VesselTree:
    """A trunk from (0, 30, 30) to (30, 30, 30) that forks to (60, 10, 30) and (60, 50, 30); radii 4, 2 and 1 mm."""
    along = np.linspace(0, 1, 31)[:, None]
    trunk = [0, 30, 30] + along * [30, 0, 0]
    right, left = ([30, 30, 30] + along[1:] * end for end in ([30, -20, 0], [30, 20, 0]))
    parent = np.arange(91) - 1
    parent[61] = 30
    branch = np.repeat([0, 1, 2], [31, 30, 30])
    branches = tuple(Branch(n, -1 if n == 0 else 0, 0, int(n > 0), VESSEL, 0.0, 0.0) for n in range(3))
    return _measured(
        VesselTree(np.concatenate([trunk, right, left]), np.array([4.0, 2.0, 1.0])[branch], parent, branch, branches)
    )


@pytest.fixture(scope="session")
def painted() -> Callable[..., LabelVolume]:
    """`painted(geometry, (value, center, radius_mm), ...)`: voxels with their center in a ball; later ones on top."""

    def paint(geometry: Geometry, *balls: tuple[int, tuple[float, float, float], float]) -> LabelVolume:
        k, j, i = np.indices(geometry.shape)
        points = geometry.index_to_lps(np.stack([i, j, k], axis=-1))
        array = np.zeros(geometry.shape, np.uint8)
        for value, center, radius_mm in balls:
            array[np.linalg.norm(points - center, axis=-1) <= radius_mm] = value
        return LabelVolume(array, geometry)

    return paint


@dataclass(frozen=True, eq=False)
class Torso:
    """A synthetic CT without vessels and tumors, and the shapes that it was painted of.

    Attributes:
        ct, labels: the labels are of the liver alone.
        shapes: tissues and their fields in the order in which they cover each other; `tissue` finds one.
    """

    ct: Volume
    labels: LabelVolume
    shapes: tuple[tuple[str, Field], ...]
    lattice: Lattice

    @property
    def center_mm(self) -> NDArray[np.float64]:
        """LPS, the middle of the liver."""
        return self.labels.geometry.index_to_lps(np.argwhere(self.labels.array).mean(axis=0)[::-1])

    def distance_mm(self, points_mm: NDArray[np.float64], tissue: str = "fat") -> NDArray[np.float64]:
        """`(N,)` of points from the surface of the tissue's shapes, negative inside; the skin is that of the fat."""
        index = (points_mm - np.array(self.lattice.start)) / self.lattice.step_mm
        fields = [field for name, field in self.shapes if name == tissue]
        return np.min([map_coordinates(f, index[:, ::-1].T, order=1, mode="nearest") for f in fields], axis=0)

    def mask(self, tissue: str, number: int | None = None) -> NDArray[np.bool_]:
        """`(K, J, I)` voxels with their center in the tissue's shapes, or in one of them, whatever covers it."""
        fields = [field for name, field in self.shapes if name == tissue]
        g = self.ct.geometry
        axes = [o + s * np.arange(n) for o, s, n in zip(g.origin_mm, g.spacing_mm, g.size, strict=True)]
        chosen = fields if number is None else fields[number : number + 1]
        return np.any([self.lattice.shape(field).distance(*axes) < 0 for field in chosen], axis=0)


def _draw_torso(
    seed: int, spacing_mm: float = 4.0, phase: Phase = "portal_venous", extent_mm: tuple[float, ...] = (410, 350, 250)
) -> Torso:
    """The trunk of a seed, of the abdomen from the pelvis to the heart."""
    rng = np.random.default_rng(seed)
    build = replace(Build.draw(rng), arms_down=False)
    i, j, k = (int(mm / spacing_mm) for mm in extent_mm)
    x, y, z = ((1 - n) * spacing_mm / 2 for n in (i, j, k))
    geometry = Geometry((i, j, k), (spacing_mm,) * 3, (x, y, z))
    lattice = Lattice.over(geometry, np.array([0.0, 12.0, LIVER_CENTER[2] * build.scale[2]]), 6.0, rng)
    points = lattice.patient.scaled(*build.scale)
    noise = [smooth_noise(rng, points.x.shape, lattice.step_mm, 32.0) for _ in range(4)]
    trunk = build_trunk(points, build, noise[3], rng)
    organs = build_organs(points, build, trunk, noise[:3], rng)
    hu = {name: tissue.draw(phase, rng) for name, tissue in TISSUES.items()}
    shapes = (*trunk.shapes, *organs.shapes)
    scene = Scene(
        lattice.start,
        lattice.step_mm,
        [Shape(field, hu_of(name, hu)) for name, field in shapes],
        Shape(organs.liver, hu["liver"]),
        [],
        np.zeros_like(points.x),
    )
    ct, labels = render(scene, Grid.of(geometry), 12.0, 0.7, seed, no_progress)
    return Torso(Volume(ct, geometry, f"torso-{seed}"), LabelVolume(labels, geometry), shapes, lattice)


@pytest.fixture(scope="session")
def torso() -> Torso:
    return _draw_torso(3)


@pytest.fixture(scope="session")
def draw_torso() -> Callable[..., Torso]:
    """See `_draw_torso`."""
    return _draw_torso


def _cut_round(
    ct: Volume, radius_mm: float, filling_hu: int, off_center_mm: tuple[float, float] = (0.0, 0.0)
) -> Volume:
    """The CT in a round field of view about its axis along z, or one beside it."""
    j, i = np.indices(ct.array.shape[1:])
    x, y, _ = np.moveaxis(ct.geometry.index_to_lps(np.stack([i, j, 0 * i], axis=-1)), -1, 0)
    center = ct.geometry.index_to_lps((np.array(ct.geometry.size) - 1) / 2)[:2] + off_center_mm
    array = ct.array.copy()
    array[:, np.hypot(x - center[0], y - center[1]) > radius_mm] = filling_hu
    return Volume(array, ct.geometry)


def _resampled(ct: Volume, geometry: Geometry, filling_hu: int) -> Volume:
    """The CT interpolated linearly on another grid, which may reach beyond it."""
    to_index = np.linalg.inv(ct.geometry.affine) @ geometry.affine
    turned = to_index[[2, 1, 0]][:, [2, 1, 0, 3]]  # of `(k, j, i)`
    array = affine_transform(
        ct.array.astype(np.float32), turned[:, :3], turned[:, 3], geometry.shape, order=1, cval=filling_hu
    )
    return Volume(np.rint(array).astype(np.int16), geometry)


@pytest.fixture(scope="session")
def cut_round() -> Callable[..., Volume]:
    """See `_cut_round`."""
    return _cut_round


@pytest.fixture(scope="session")
def resampled() -> Callable[..., Volume]:
    """See `_resampled`."""
    return _resampled
