"""A patient to plan on, and vessel trees made by hand or taken from a phantom's truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import VESSEL, Structure
from liver_seg_ros.phantom import Phantom, generate_phantom
from liver_seg_ros.phantom.options import PhantomOptions
from liver_seg_ros.phantom.vessel_graph import VesselGraph
from liver_seg_ros.vessel_tree import Branch, VesselTree
from liver_seg_ros.volume import LabelVolume


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
