# SPDX-License-Identifier: Apache-2.0
"""Which vessel of a tree is nearest to each of many points, measured to the vessel's wall; exact and vectorised.

A vessel is the straight piece from a node's parent to the node, as wide as the node says; its wall is at distance
`|p - axis| - radius`. The nearest wall is not the nearest axis, so that no k-d tree of the nodes finds it. But the
distance to a wall changes by no more than the point moves: a vessel that is nearest anywhere in a ball of radius h is,
at the ball's center, at most 2h further than the nearest one there. So points are put into small blocks, and from the
whole cloud down to a block only the vessels that can still win are kept: some ten out of thousands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import VesselTree

#: Edge of the blocks: in smaller ones there are more of them, in larger ones more vessels for each point.
BLOCK_MM = 8.0
#: So few vessels are all tried; to leave out more of them would take longer.
FEW = 12
#: So many distances are computed at once: they stay in the cache, and products so small start no threads.
AT_ONCE = 1 << 15


@dataclass(frozen=True, eq=False)
class NearestVessel:
    """The nearest vessel of `N` points.

    Attributes:
        distance_mm: `(N,)` float64, to the vessel's wall; negative inside of it, infinite without a vessel.
        node: `(N,)` int64, the node of the tree in which that vessel ends; -1 without a vessel.
    """

    distance_mm: NDArray[np.float64]
    node: NDArray[np.int64]

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Vessels:
    """The straight pieces of a tree as arrays: where each begins, where it leads, how wide it is, its node."""

    start_mm: NDArray[np.float64]  # (V, 3)
    along_mm: NDArray[np.float64]  # (V, 3), from start to end
    radius_mm: NDArray[np.float64]  # (V,)
    node: NDArray[np.int64]  # (V,)

    __repr__ = short_repr

    @staticmethod
    def of(tree: VesselTree, branches: ArrayLike | None = None) -> Vessels:
        """All pieces of `tree`, or those of the branches with these numbers. A root is a piece of no length."""
        node = np.arange(len(tree.parent))
        if branches is not None:
            node = node[np.isin(tree.branch, np.asarray(branches, np.int64))]
        parent = np.where(tree.parent[node] < 0, node, tree.parent[node])
        start = tree.points_mm[parent]
        return Vessels(start, tree.points_mm[node] - start, tree.radius_mm[node], node)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Vessels:
        return Vessels(self.start_mm[chosen], self.along_mm[chosen], self.radius_mm[chosen], self.node[chosen])

    def wall_distance_mm(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(P, V)`: from each of `(P, 3)` points to each wall, negative inside."""
        middle = points_mm.mean(axis=0)  # of local coordinates the squares lose no digits
        points, start = points_mm - middle, self.start_mm - middle
        length_2 = np.einsum("vx,vx->v", self.along_mm, self.along_mm)
        reach = points @ self.along_mm.T - np.einsum("vx,vx->v", start, self.along_mm)
        place = (reach / np.where(length_2 > 0, length_2, 1.0)).clip(0, 1)
        squared = np.einsum("px,px->p", points, points)[:, None] - 2 * points @ start.T
        squared += np.einsum("vx,vx->v", start, start) - place * (2 * reach - place * length_2)
        return np.sqrt(squared.clip(min=0)) - self.radius_mm


def nearest_vessel(points_mm: ArrayLike, tree: VesselTree, branches: ArrayLike | None = None) -> NearestVessel:
    """The vessel whose wall is nearest to each point.

    Args:
        points_mm: `(N, 3)` LPS.
        tree: where it is empty, distances are infinite.
        branches: numbers of the branches to look at; all where None.

    Raises:
        InputError: points of another shape, or not finite.
    """
    points = np.asarray(points_mm, np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError(f"points of shape {points.shape} must be (N, 3) and finite")
    found = NearestVessel(np.full(len(points), np.inf), np.full(len(points), -1, np.int64))
    vessels = Vessels.of(tree, branches)
    if len(points) and len(vessels.node):
        cell = np.floor((points - points.min(axis=0)) / BLOCK_MM).astype(np.int64)
        size = cell.max(axis=0) + 1
        key = (cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
        order = np.argsort(key, kind="stable")
        keys, first = np.unique(key[order], return_index=True)
        blocks = np.split(order, first[1:])
        centers = np.stack(np.unravel_index(keys, size), axis=1) * BLOCK_MM + points.min(axis=0) + BLOCK_MM / 2
        _descend(np.arange(len(blocks)), blocks, centers, points, vessels, found)
    return found


def _descend(
    chosen: NDArray[np.intp],
    blocks: list[NDArray[np.intp]],
    centers: NDArray[np.float64],
    points: NDArray[np.float64],
    vessels: Vessels,
    found: NearestVessel,
) -> None:
    """Fill `found` for the points in the `chosen` blocks, to which one of `vessels` is nearest."""
    low, high = centers[chosen].min(axis=0), centers[chosen].max(axis=0)
    reach_mm = float(np.linalg.norm(high - low)) / 2 + BLOCK_MM * np.sqrt(3) / 2
    at_center = vessels.wall_distance_mm((low + high)[None] / 2)[0]
    vessels = vessels[at_center <= at_center.min() + 2 * reach_mm]
    if len(chosen) == 1 or len(vessels.node) <= FEW:
        together = np.concatenate([blocks[number] for number in chosen])
        rows = AT_ONCE // len(vessels.node) + 1
        for part in (together[first : first + rows] for first in range(0, len(together), rows)):
            distance_mm = vessels.wall_distance_mm(points[part])
            nearest = distance_mm.argmin(axis=1)
            found.distance_mm[part] = distance_mm[np.arange(len(part)), nearest]
            found.node[part] = vessels.node[nearest]
        return
    axis = int((high - low).argmax())
    in_low_half = centers[chosen, axis] < (low + high)[axis] / 2
    for half in (chosen[in_low_half], chosen[~in_low_half]):
        _descend(half, blocks, centers, points, vessels, found)
