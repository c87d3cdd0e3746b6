# SPDX-License-Identifier: Apache-2.0
"""The vessels of the liver as a tree: what reconstruction makes of their voxels, and all others use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.labels import Structure


@dataclass(frozen=True)
class Branch:
    """A vessel between two places where it begins, forks or ends.

    Attributes:
        number: its place in `VesselTree.branches`.
        parent: number of the branch that it comes from; -1 where it begins a tree.
        tree: which tree it belongs to, from 0; trees are not connected with each other.
        generation: 0 of the trunk, one more after each fork.
        structure: the row of the label table that its voxels have.
        length_mm: along the centerline, from the fork that it comes from.
        radius_mm: mean along the centerline, weighted with length.
    """

    number: int
    parent: int
    tree: int
    generation: int
    structure: Structure
    length_mm: float
    radius_mm: float


@dataclass(frozen=True, eq=False)
class VesselTree:
    """Centerlines with radii in LPS millimetres: a forest without loops.

    A node's vessel runs straight from its parent to it. Nodes are ordered so that a parent comes before its children;
    the nodes of a branch follow each other in the direction of the branch.

    Attributes:
        points_mm: `(N, 3)` float64, LPS.
        radius_mm: `(N,)` float64, of the vessel at the node.
        parent: `(N,)` int64 node upstream, -1 where a tree begins.
        branch: `(N,)` int64 number of the branch that the vessel from the parent to the node belongs to (of a root: the
            branch that begins in it).
        branches: in order, a parent before its children.
    """

    points_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    parent: NDArray[np.int64]
    branch: NDArray[np.int64]
    branches: tuple[Branch, ...]

    def __repr__(self) -> str:
        return f"VesselTree({self.tree_count} trees, {len(self.branches)} branches, {len(self.points_mm)} nodes)"

    @property
    def edges(self) -> NDArray[np.int64]:
        """`(E, 2)` pairs `(parent, node)`."""
        nodes = np.flatnonzero(self.parent >= 0)
        return np.stack([self.parent[nodes], nodes], axis=1)

    @property
    def terminals(self) -> NDArray[np.int64]:
        """Nodes in which a branch ends that does not go on, `(T,)`."""
        nodes = np.flatnonzero(self.parent >= 0)
        return np.setdiff1d(nodes, self.parent)

    @property
    def tree_count(self) -> int:
        """How many trees there are, not connected with each other."""
        return int((self.parent < 0).sum())


EMPTY_TREE = VesselTree(
    np.empty((0, 3)), np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64), ()
)  # of labels without a vessel
