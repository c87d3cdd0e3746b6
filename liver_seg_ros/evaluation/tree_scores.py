# SPDX-License-Identifier: Apache-2.0
"""Accuracy of an extracted vessel tree against ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import VESSEL
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume

STEP_MM = 0.25  # between two points at which lines are compared


class Graph(Protocol):
    """What true trees are given as: a phantom's `VesselGraph`, or a `VesselTree`. Its vessels run along `edges`."""

    @property
    def points_mm(self) -> NDArray[np.float64]: ...
    @property
    def radius_mm(self) -> NDArray[np.float64]: ...
    @property
    def edges(self) -> NDArray[np.int64]: ...
    @property
    def terminals(self) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class TreeScores:
    """A tree against true ones. A voxel is as long as the mean spacing; a vessel is resolved that is two voxels wide.

    Attributes:
        line_voxels: mean distance of the found lines from the true ones, where those are resolved, in voxels.
        line_95_voxels: 95th percentile of the same.
        radius: mean deviation of the found radius from the true one, relative to it, where that is resolved and the two
            lines run alongside, less than half a true radius apart.
        missed: share of the true lines, resolved and labelled, that lie more than a voxel outside the found vessels.
        terminals: how many the found tree has.
        true_terminals: how many of the true ones' last voxels are labelled. It counts those that no method can see,
            because they end in the voxels of another vessel, and not the ends that tumors and gaps in the labels make.
        trees: how many there are.
        together: share of the found lines in whose tree most lines are of the same true tree.
        downstream: share of the found lines along true ones that run in the direction of these.
    """

    line_voxels: float
    line_95_voxels: float
    radius: float
    missed: float
    terminals: int
    true_terminals: int
    trees: int
    together: float
    downstream: float


def score_tree(tree: VesselTree, truth: tuple[Graph, ...], labels: LabelVolume) -> TreeScores:
    """Compare `tree` with the true trees, of which `labels` shows what lies inside the liver.

    Raises `InputError` where the tree has no line.
    """
    if len(tree.edges) == 0:
        raise InputError("an empty tree has no score")
    voxel_mm = float(np.mean(labels.geometry.spacing_mm))
    true = [_Lines.of(graph.points_mm, graph.radius_mm, graph.edges) for graph in truth]
    true_tree = np.repeat(np.arange(len(true)), [len(lines.points_mm) for lines in true])
    true_mm, true_radius, true_way = (
        np.concatenate([getattr(lines, name) for lines in true]) for name in ("points_mm", "radius_mm", "direction")
    )
    found = _Lines.of(tree.points_mm, tree.radius_mm, tree.edges)

    distance, nearest = cKDTree(true_mm).query(found.points_mm)
    resolved = true_radius[nearest] >= voxel_mm
    on_line = distance < true_radius[nearest] + voxel_mm / 2
    along = np.einsum("ij,ij->i", found.direction, true_way[nearest])
    lengthwise = on_line & (np.abs(along) > 0.5)
    alongside = (distance < true_radius[nearest] / 2) & (np.abs(along) > 0.9)

    lift = np.sqrt(found.radius_mm.max() ** 2 - found.radius_mm**2)  # nearest wall, as in `nearest_ball`
    _, ball = cKDTree(np.column_stack([found.points_mm, lift])).query(
        np.column_stack([true_mm, np.zeros(len(true_mm))])
    )
    outside = np.linalg.norm(true_mm - found.points_mm[ball], axis=1) > found.radius_mm[ball] + voxel_mm
    countable = _labelled(true_mm, labels) & (true_radius >= voxel_mm)

    branch_tree = np.array([branch.tree for branch in tree.branches])
    tree_of = branch_tree[tree.branch[tree.edges[:, 1]]][found.edge]
    shares = np.zeros((tree.tree_count, len(true)))
    np.add.at(shares, (tree_of[on_line], true_tree[nearest][on_line]), 1)
    ends = np.concatenate([graph.points_mm[graph.terminals] for graph in truth])
    return TreeScores(
        line_voxels=float(distance[resolved].mean()) / voxel_mm,
        line_95_voxels=float(np.percentile(distance[resolved], 95)) / voxel_mm,
        radius=float(np.abs(found.radius_mm / true_radius[nearest] - 1)[resolved & alongside].mean()),
        missed=float(outside[countable].mean()),
        terminals=len(tree.terminals),
        true_terminals=int(_labelled(ends, labels).sum()),
        trees=tree.tree_count,
        together=float(shares.max(axis=1).sum() / shares.sum()),
        downstream=float((along[lengthwise] > 0).mean()),
    )


@dataclass(frozen=True, eq=False)
class _Lines:
    """Points `STEP_MM` apart on the edges of a graph: `(P, 3)`, radius and direction there, and which edge it is."""

    points_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    direction: NDArray[np.float64]
    edge: NDArray[np.int64]

    @staticmethod
    def of(points_mm: NDArray[np.float64], radius_mm: NDArray[np.float64], edges: NDArray[np.int64]) -> _Lines:
        start, vector = points_mm[edges[:, 0]], points_mm[edges[:, 1]] - points_mm[edges[:, 0]]
        length = np.linalg.norm(vector, axis=1)
        count = np.ceil(length / STEP_MM).astype(np.int64).clip(min=1)
        edge = np.repeat(np.arange(len(edges)), count)
        part = (np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + 0.5) / count[edge]
        direction = vector / length.clip(min=1e-9)[:, None]
        points = start[edge] + vector[edge] * part[:, None]
        return _Lines(points, radius_mm[edges[:, 1]][edge], direction[edge], edge)


def _labelled(points_mm: NDArray[np.float64], labels: LabelVolume) -> NDArray[np.bool_]:
    """Whether the voxel around each point is a vessel's."""
    index = np.rint(labels.geometry.lps_to_index(points_mm)).astype(np.intp)
    inside = ((index >= 0) & (index < labels.geometry.size)).all(axis=1)
    i, j, k = index[inside].T
    result = np.zeros(len(points_mm), bool)
    result[inside] = labels.array[k, j, i] == VESSEL.value
    return result
