# SPDX-License-Identifier: Apache-2.0
"""Growing venous trees inside the liver by constrained constructive optimisation.

After W. Schreiner and P. F. Buxbaum, "Computer-optimization of vascular trees", IEEE Trans. Biomed. Eng. 40 (1993): end
points are added one by one, each joined to the vessel whose splitting adds the least blood volume, and radii obey
Murray's law, r_parent^g = sum of r_child^g (C. D. Murray, PNAS 12 (1926), g = 3). Flow is counted in end points, so
that the radius of a vessel feeding q of Q of them is r_root (q / Q)^(1/g).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

from liver_seg_ros.phantom.vessel_graph import VesselGraph

Points3 = NDArray[np.float64]  # (N, 3) mm
Depth = Callable[[Points3], NDArray[np.float64]]  # signed distance to the organ's surface in mm, negative inside

CANDIDATES = 8  # vessels tried for each new end point
BRANCH_PULL = 0.25  # how far a new branching point moves from the old vessel toward the new end point


class Obstacles:
    """Vessels that a later tree must keep clear of, as points with radii."""

    def __init__(self, graphs: list[VesselGraph]) -> None:
        points, radii = [np.empty((0, 3))], [np.empty(0)]
        for graph in graphs:
            for a, b in graph.edges:
                steps = max(2, int(np.linalg.norm(graph.points_mm[b] - graph.points_mm[a]) / 1.5) + 1)
                t = np.linspace(0, 1, steps)[:, None]
                points.append(graph.points_mm[a] * (1 - t) + graph.points_mm[b] * t)
                radii.append(np.full(steps, graph.radius_mm[b]))
        self._radii = np.concatenate(radii)
        self._tree = cKDTree(np.concatenate(points)) if self._radii.size else None

    def clearance(self, points: Points3) -> NDArray[np.float64]:
        """Distance in mm from each point to the nearest vessel wall, approximately; infinite without vessels."""
        if self._tree is None:
            return np.full(len(points), np.inf)
        distance, index = self._tree.query(points)
        return np.asarray(distance - self._radii[index])


def grow_tree(
    root: Points3,
    stem: Points3,
    root_radius_mm: float,
    targets: Points3,
    depth: Depth,
    obstacles: Obstacles,
    exponent: float,
    rng: np.random.Generator,
) -> VesselGraph:
    """A tree from `root` over `stem` (both `(3,)`) that reaches the `targets` `(Q, 3)`.

    A target that cannot be joined without leaving the organ is left out. The graph's root vessel has `root_radius_mm`;
    vessels between branchings are bent slightly.
    """
    capacity = 2 * len(targets) + 3
    position = np.zeros((capacity, 3))
    parent = np.full(capacity, -1)
    flow = np.zeros(capacity)
    position[:2], parent[1], flow[:2], count = [root, stem], 0, 1, 2

    for target in targets:
        nodes = np.arange(1, count)
        a, b = position[parent[nodes]], position[nodes]
        t = np.clip(((target - a) * (b - a)).sum(1) / np.maximum(((b - a) ** 2).sum(1), 1e-9), 0.1, 0.9)
        nearest = a + t[:, None] * (b - a)
        order = np.argsort(np.linalg.norm(nearest - target, axis=1))[:CANDIDATES]
        branch = nearest[order] * (1 - BRANCH_PULL) + target * BRANCH_PULL
        cost = _added_volume(a[order], b[order], branch, target, flow[nodes[order]], exponent)
        cost *= _penalty(a[order], b[order], branch, target, depth, obstacles)
        best = int(np.argmin(cost))
        if not np.isfinite(cost[best]):
            continue
        child = int(nodes[order[best]])
        position[count], parent[count], flow[count] = branch[best], parent[child], flow[child]
        position[count + 1], parent[count + 1], flow[count + 1] = target, count, 1
        parent[child] = count
        upstream = count
        count += 2
        while upstream >= 0:  # the new end point's flow runs through everything above it
            flow[upstream] += 1
            upstream = int(parent[upstream])
    return _finish(position[:count], parent[:count], flow[:count], root_radius_mm, exponent, rng)


def spread_targets(candidates: Points3, count: int, rng: np.random.Generator) -> Points3:
    """`count` points, in random order, spread evenly over the region that `candidates` `(N, 3)` sample."""
    if len(candidates) <= count:
        return candidates
    sample = candidates[rng.permutation(len(candidates))[: 20 * count]]
    centers, _ = kmeans2(sample, count, iter=4, minit="points", rng=rng, missing="warn")
    return np.asarray(rng.permutation(centers))


def _added_volume(
    a: Points3, b: Points3, branch: Points3, target: Points3, flow: NDArray[np.float64], exponent: float
) -> NDArray[np.float64]:
    """Blood volume that joining `target` at `branch` adds, up to a constant: length times radius squared."""
    area = 2 / exponent

    def length(p: Points3, q: Points3) -> NDArray[np.float64]:
        return np.linalg.norm(p - q, axis=1)

    added = length(a, branch) * (flow + 1) ** area + length(branch, b) * flow**area
    added += length(branch, np.broadcast_to(target, branch.shape)) - length(a, b) * flow**area
    return np.maximum(added, 0) + 1.0


def _penalty(
    a: Points3, b: Points3, branch: Points3, target: Points3, depth: Depth, obstacles: Obstacles
) -> NDArray[np.float64]:
    """Factor per candidate: infinite where a new vessel would leave the organ, large where it would cross a vessel."""
    t = np.linspace(0.15, 1.0, 5)[None, :, None]
    ends = np.stack([a, b, np.broadcast_to(target, branch.shape)])  # (3, C, 3)
    samples = branch[None, :, None] + (ends[:, :, None] - branch[None, :, None]) * t[None] * 0.95  # (3, C, 5, 3)
    inside = depth(samples[1:].reshape(-1, 3)).reshape(2, len(branch), -1).max(axis=(0, 2)) < -1.0
    clearance = obstacles.clearance(samples.reshape(-1, 3)).reshape(3, len(branch), -1).min(axis=(0, 2))
    return np.where(inside, 1.0, np.inf) * np.where(clearance > 1.5, 1.0, 6.0)


def _finish(
    position: Points3,
    parent: NDArray[np.int64],
    flow: NDArray[np.float64],
    root_radius_mm: float,
    exponent: float,
    rng: np.random.Generator,
) -> VesselGraph:
    """Radii by Murray's law, every longer vessel bent by a middle node, nodes sorted from the root down."""
    radius = root_radius_mm * (flow / flow.max()) ** (1 / exponent)
    points, parents, radii = list(position), list(parent), list(radius)
    for node in np.flatnonzero(parent >= 0):
        vector = position[node] - position[parent[node]]
        length = float(np.linalg.norm(vector))
        if length < 6.0:
            continue
        bend = rng.standard_normal(3)
        bend -= vector * (bend @ vector) / length**2
        bend *= min(0.07 * length, 2.5) / max(float(np.linalg.norm(bend)), 1e-9)
        points.append(position[node] - vector / 2 + bend)
        parents.append(parent[node])
        radii.append(radius[node])
        parents[node] = len(points) - 1
    return _sorted_from_root(np.array(points), np.array(radii), np.array(parents))


def _sorted_from_root(points: Points3, radii: NDArray[np.float64], parent: NDArray[np.int64]) -> VesselGraph:
    generation = np.zeros(len(parent), dtype=int)
    for node in range(len(parent)):
        upstream = int(parent[node])
        while upstream >= 0:
            generation[node] += 1
            upstream = int(parent[upstream])
    order = np.argsort(generation, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    parents = parent[order]
    return VesselGraph(points[order], radii[order], np.where(parents >= 0, rank[parents], -1).astype(np.int64))


def join_graphs(graphs: list[VesselGraph]) -> VesselGraph:
    """Several trees as one graph with several roots."""
    offsets = np.cumsum([0, *(len(g.parent) for g in graphs[:-1])])
    parents = [np.where(g.parent >= 0, g.parent + o, -1) for g, o in zip(graphs, offsets, strict=True)]
    return VesselGraph(
        np.concatenate([g.points_mm for g in graphs]),
        np.concatenate([g.radius_mm for g in graphs]),
        np.concatenate(parents).astype(np.int64),
    )
