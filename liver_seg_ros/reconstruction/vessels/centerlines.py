# SPDX-License-Identifier: Apache-2.0
"""From the voxels of vessels to centerlines without loops: one voxel path per vessel.

TEASAR (M. Sato et al., "TEASAR: tree-structure extraction algorithm for accurate and robust skeletons", Pacific
Graphics 2000) on the graph of neighboring voxels: paths that keep to the middle are shortest paths to a root under a
cost that falls with the distance to the wall; they are taken from the farthest tip that no earlier path explains, until
none is left. All of them lie in one shortest-path tree, so no two of them form a loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, dijkstra
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Vector
from liver_seg_ros.short_repr import short_repr

#: A path costs its length over the fourth power of the distance to the wall: steep enough to keep to the middle, and
#: to go round through two thick vessels rather than through the thin place where they touch.
COST_POWER = 4

#: A tip is explained by a path within this many radii, and so many voxels more, of it: not a vessel but a bulge.
EXPLAINED_RADII = 1.6
EXPLAINED_VOXELS = 1.0

#: Any other voxel is explained by a path within this many times as much.
EXPLAINED_WIDELY = 1.5


@dataclass(frozen=True, eq=False)
class Paths:
    """Centerlines as a forest; units are mm along the axes `(i, j, k)` of the grid, from its first voxel.

    Attributes:
        points_mm: `(N, 3)` float64.
        radius_mm: `(N,)` float64 of the vessel there.
        parent: `(N,)` int64 node toward the root, which comes earlier; -1 of a root. The nodes of a path, from where it
            leaves the path before, follow each other.
        contacts: `(C, 2)` int64 tips, and the nodes of other paths that their voxels touch: vessels that would close a
            loop.
    """

    points_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    parent: NDArray[np.int64]
    contacts: NDArray[np.int64]

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class VoxelGraph:
    """The voxels of a mask, and which of them touch with a face, an edge or a corner.

    Attributes:
        points_mm: `(V, 3)` float64 centers, in mm along `(i, j, k)` from the first voxel of the grid.
        wall_mm: `(V,)` float64 distance to the wall, at least a quarter of the smallest spacing.
        pairs: `(2, E)` int32 voxels that touch, each pair once.
        length_mm: `(E,)` float64 distance of their centers.
        step_mm: mean spacing.
    """

    points_mm: NDArray[np.float64]
    wall_mm: NDArray[np.float64]
    pairs: NDArray[np.int32]
    length_mm: NDArray[np.float64]
    step_mm: float

    __repr__ = short_repr

    @staticmethod
    def of(mask: NDArray[np.bool_], spacing_mm: Vector) -> VoxelGraph:
        """The graph of `mask` `[k, j, i]`, whose outermost voxels are background."""
        flat = np.flatnonzero(mask)  # ascending
        k, j, i = np.unravel_index(flat, mask.shape)
        k_j_i_mm = spacing_mm[::-1]
        to_background = edt.edt(mask, anisotropy=k_j_i_mm, black_border=True, parallel=2).reshape(-1)[flat]
        smallest = min(spacing_mm)
        # The wall lies between the centers of the last voxel inside and the first outside.
        wall_mm = np.maximum(to_background - smallest / 2, smallest / 4).astype(np.float64)
        stride = np.array([mask.shape[1] * mask.shape[2], mask.shape[2], 1])
        steps = np.array([s for s in np.ndindex(3, 3, 3) if s > (1, 1, 1)]) - 1  # 13 of the 26, [k, j, i]
        starts, ends, lengths = [], [], []
        for step in steps:
            neighbor = flat + int(step @ stride)
            at = np.searchsorted(flat, neighbor).clip(max=len(flat) - 1)
            start = np.flatnonzero(flat[at] == neighbor)
            starts.append(start.astype(np.int32))
            ends.append(at[start].astype(np.int32))
            lengths.append(np.full(len(start), np.linalg.norm(step * k_j_i_mm)))
        pairs = np.stack([np.concatenate(starts), np.concatenate(ends)])
        points = np.stack([i, j, k], axis=1) * np.array(spacing_mm)
        return VoxelGraph(points, wall_mm, pairs, np.concatenate(lengths), float(np.mean(spacing_mm)))

    def matrix(self, weights: NDArray[np.float64]) -> csr_array:
        """The symmetric `(V, V)` matrix of `weights` `(E,)`."""
        (a, b), count = self.pairs, len(self.wall_mm)
        ends = np.concatenate([a, b]), np.concatenate([b, a])
        return csr_array((np.concatenate([weights, weights]), ends), shape=(count, count))


def trace_centerlines(mask: NDArray[np.bool_], spacing_mm: Vector) -> Paths:
    """The centerlines of the vessels in `mask`, voxel by voxel from an end of each connected part to all others.

    A part that reaches no further from one end than a bulge does from a vessel (`EXPLAINED_RADII`, `EXPLAINED_VOXELS`)
    is a speck without a centerline.

    Args:
        mask: `(K, J, I)`, its outermost voxels background.
        spacing_mm: along `(i, j, k)`.
    """
    graph = VoxelGraph.of(mask, spacing_mm)
    if len(graph.wall_mm) == 0:
        return Paths(np.empty((0, 3)), np.empty(0), np.empty(0, np.int64), np.empty((0, 2), np.int64))
    costs = graph.matrix(_costs(graph))
    roots = _extremities(graph, costs)
    _, toward_root, _ = dijkstra(costs, indices=roots, min_only=True, return_predecessors=True)
    toward_root = np.where(toward_root < 0, -1, toward_root)
    reach_mm = EXPLAINED_RADII * graph.wall_mm + EXPLAINED_VOXELS * max(spacing_mm)
    chosen, tips = _choose_paths(graph, reach_mm, toward_root, roots)
    number = np.full(len(graph.wall_mm), -1, np.int64)
    number[chosen] = np.arange(len(chosen))
    before = toward_root[chosen]
    parent = np.where(before >= 0, number[before], -1)
    points, wall_mm = graph.points_mm[chosen], graph.wall_mm[chosen]
    return Paths(points, wall_mm, parent, _contacts(points, wall_mm, parent, number[tips], graph.step_mm))


def _costs(graph: VoxelGraph) -> NDArray[np.float64]:
    per_mm = (graph.wall_mm.max() / graph.wall_mm) ** COST_POWER
    a, b = graph.pairs
    return graph.length_mm * (per_mm[a] + per_mm[b]) / 2


def _along(points: NDArray[np.float64], toward_root: NDArray[np.signedinteger]) -> NDArray[np.float64]:
    """`(V,)` length of the path from the root: steps added up by pointer doubling."""
    here = np.arange(len(points))
    ahead = np.where(toward_root < 0, here, toward_root)
    length = np.linalg.norm(points - points[ahead], axis=1)
    while True:
        further = ahead[ahead]
        if np.array_equal(further, ahead):
            return length
        length += length[ahead]
        ahead = further


def _local_maxima(graph: VoxelGraph, value: NDArray[np.float64]) -> NDArray[np.int64]:
    a, b = graph.pairs
    is_top = value > 0
    is_top[a[value[a] < value[b]]] = False
    is_top[b[value[b] < value[a]]] = False
    return np.flatnonzero(is_top)


def _choose_paths(
    graph: VoxelGraph, reach_mm: NDArray[np.float64], toward_root: NDArray[np.int32], roots: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels of the paths that explain all voxels, a path at a time from its start to its tip, and the tips."""
    points = graph.points_mm
    length = _along(points, toward_root)
    before = toward_root.tolist()
    on_path = np.zeros(len(points), bool)
    chosen: list[int] = []
    tips: list[int] = []

    farthest: dict[int, int] = {}

    def choose(candidates: NDArray[np.int64], starts: NDArray[np.int64]) -> None:
        """Add the paths to those candidates, the farthest first, that no path before explains."""
        candidates = candidates[np.argsort(-length[candidates], kind="stable")]
        if len(candidates) == 0:
            return
        tree = cKDTree(points[candidates])
        explained = np.zeros(len(candidates), bool)
        path = starts.tolist()
        on_path[path] = True
        for number, tip in enumerate([-1, *candidates.tolist()]):
            if tip >= 0:
                if explained[number - 1]:
                    continue
                tip = farthest.get(tip, tip)
                path = _path(tip, before, on_path)
                on_path[path] = True
                chosen.extend(path)
                tips.append(tip)
            for near in tree.query_ball_point(points[path], reach_mm[path]):
                explained[near] = True

    choose(_local_maxima(graph, length), roots)
    # Where another vessel explains the farthest voxel of a loop, what leads to it is left.
    chosen_now = np.concatenate([roots, np.array(chosen, np.int64)])
    reach_mm = EXPLAINED_WIDELY * reach_mm
    left = _unexplained(points, reach_mm, chosen_now)
    farthest = _farthest_behind(left, toward_root, length)
    choose(left, chosen_now[:0])
    paths = np.array(chosen, np.int64)
    leading = np.isin(roots, toward_root[paths])  # roots of specks lead nowhere
    return np.concatenate([roots[leading], paths]), np.array(tips, np.int64)


def _farthest_behind(
    voxels: NDArray[np.int64], toward_root: NDArray[np.int32], length: NDArray[np.float64]
) -> dict[int, int]:
    """Of each of these voxels, and of all that are reached through one, the farthest that is reached through it."""
    behind = np.zeros(len(length), bool)
    behind[voxels] = True
    ahead = np.where(toward_root < 0, np.arange(len(length)), toward_root)
    while not np.array_equal(ahead, further := ahead[ahead]):
        behind |= behind[ahead]
        ahead = further
    members = np.flatnonzero(behind)
    farthest = {voxel: voxel for voxel in members.tolist()}
    for voxel in members[np.argsort(-length[members], kind="stable")].tolist():  # children before parents
        parent = int(toward_root[voxel])
        if parent in farthest and length[farthest[voxel]] > length[farthest[parent]]:
            farthest[parent] = farthest[voxel]
    return farthest


def nearest_ball(
    centers: NDArray[np.float64], radius: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.intp]:
    """`(P,)` ball of least power for each point: squared distance to its center less its squared radius.

    A point on the surface of a union of balls has the power 0 for its own ball and more for all others; one in none of
    the balls has a positive power for all. In four dimensions, with the fourth coordinate chosen so, least power is
    least distance.
    """
    squared = radius**2
    lift = np.sqrt(squared.max() - squared)  # of the same squares: a scalar's may differ in the last bit
    tree = cKDTree(np.column_stack([centers, lift]))
    _, ball = tree.query(np.column_stack([points, np.zeros(len(points))]), workers=2)
    return ball


def _path(tip: int, before: list[int], on_path: NDArray[np.bool_]) -> list[int]:
    """The voxels from where the shortest path to `tip` leaves another one."""
    path = [tip]
    while not on_path[before[path[-1]]]:
        path.append(before[path[-1]])
    return path[::-1]


def _unexplained(
    points: NDArray[np.float64], reach_mm: NDArray[np.float64], chosen: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Voxels in no ball around a chosen one: those of positive power, see `nearest_ball`."""
    radius = reach_mm[chosen]
    node = nearest_ball(points[chosen], radius, points)
    return np.flatnonzero(np.linalg.norm(points - points[chosen[node]], axis=1) > radius[node])


def _contacts(
    points: NDArray[np.float64],
    wall_mm: NDArray[np.float64],
    parent: NDArray[np.int64],
    tips: NDArray[np.int64],
    step_mm: float,
) -> NDArray[np.int64]:
    """`(C, 2)` each tip that ends at the wall of another vessel, and the node there that it ends at.

    Shortest paths that flow round a loop from both sides meet, and end, somewhere on it; so do those of a vessel that
    ends against another.
    """
    if len(tips) == 0:
        return np.empty((0, 2), np.int64)
    depth = _along(points, parent)
    before = parent.tolist()
    tree = cKDTree(points)
    found = []
    for tip, near in zip(tips.tolist(), tree.query_ball_point(points[tips], wall_mm.max() + 2 * step_mm), strict=True):
        others = np.array(near)
        gap = np.linalg.norm(points[others] - points[tip], axis=1) - wall_mm[others]
        for other in others[(gap < 2 * step_mm)][np.argsort(gap[gap < 2 * step_mm])].tolist():
            if not _is_near((tip, other), before, depth, 4 * (wall_mm[tip] + wall_mm[other]) + 4 * step_mm):
                found.append((tip, other))
                break
    return np.array(found, np.int64).reshape(-1, 2)


def _is_near(pair: tuple[int, int], before: list[int], depth: NDArray[np.float64], reach_mm: float) -> bool:
    """Whether the way along the paths between two voxels is shorter than `reach_mm`."""
    low, high = pair
    start = depth[low] + depth[high]
    while low != high:
        if depth[low] < depth[high]:
            low, high = high, low
        if before[low] < 0 or start - depth[low] - depth[high] > reach_mm:
            return False
        low = before[low]
    return bool(start - 2 * depth[low] <= reach_mm)


def _extremities(graph: VoxelGraph, costs: csr_array) -> NDArray[np.int64]:
    """A voxel of each connected part that is far from its thickest place: an end, on whichever side."""
    count, part = connected_components(costs, directed=False)
    thickest = _last_of_each(part, graph.wall_mm)
    a, b = graph.pairs
    everywhere = np.full(count, len(part), np.int32)  # one voxel more that touches all the thickest
    rows, columns = np.concatenate([a, b, everywhere]), np.concatenate([b, a, thickest])
    steps = csr_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(part) + 1, len(part) + 1))
    _, before = breadth_first_order(steps, len(part), directed=True, return_predecessors=True)
    before = np.where(before[:-1] == len(part), -1, before[:-1])
    return _last_of_each(part, _along(graph.points_mm, before))


def _last_of_each(part: NDArray[np.int32], value: NDArray[np.float64]) -> NDArray[np.int64]:
    """The voxel of largest value in each part."""
    order = np.lexsort((value, part))
    return order[np.append(np.flatnonzero(np.diff(part[order])), len(order) - 1)]
