"""Where trees begin: centerlines turned so that they run from the trunk of each connected part to all other ends.

The trunk's end is the one that blood from the thickest place of the part reaches with the least resistance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Vector
from liver_seg_ros.reconstruction.centerlines import Paths


def root_trees(paths: Paths, mask: NDArray[np.bool_], spacing_mm: Vector) -> Paths:
    """`paths` with the root of each tree at its trunk's end, and that end moved on to where `mask` ends.

    The nodes keep their numbers; a parent may come after its children.
    """
    if len(paths.parent) == 0:
        return paths
    parent = paths.parent.copy()
    neighbors = _neighbors(parent)
    roots = []
    for thickest in _thickest_of_each(paths):
        resistance = _resistance_from(thickest, paths, neighbors)
        end = min((node for node in resistance if len(neighbors[node]) == 1), key=resistance.__getitem__)
        _turn(parent, end)
        roots.append(end)
    turned = replace(paths, parent=parent)
    return replace(turned, points_mm=_moved_to_the_cut(turned, np.array(roots), mask, spacing_mm))


def _neighbors(parent: NDArray[np.int64]) -> list[list[int]]:
    neighbors: list[list[int]] = [[] for _ in parent]
    for node, before in enumerate(parent.tolist()):
        if before >= 0:
            neighbors[node].append(before)
            neighbors[before].append(node)
    return neighbors


def _thickest_of_each(paths: Paths) -> list[int]:
    """The node of largest radius of each tree."""
    thickest: dict[int, int] = {}
    root_of = np.arange(len(paths.parent))
    for node, before in enumerate(paths.parent.tolist()):
        root_of[node] = root = root_of[before] if before >= 0 else node  # parents come first
        if paths.radius_mm[node] > paths.radius_mm[thickest.setdefault(root, node)]:
            thickest[root] = node
    return list(thickest.values())


def _resistance_from(start: int, paths: Paths, neighbors: list[list[int]]) -> dict[int, float]:
    """What flow from `start` to each node of its tree meets, by Poiseuille's law up to a constant."""
    points, radius = paths.points_mm, paths.radius_mm
    resistance, waiting = {start: 0.0}, [start]
    while waiting:
        here = waiting.pop()
        for node in neighbors[here]:
            if node not in resistance:
                length = float(np.linalg.norm(points[node] - points[here]))
                resistance[node] = resistance[here] + length / float(min(radius[node], radius[here])) ** 4
                waiting.append(node)
    return resistance


def _turn(parent: NDArray[np.int64], root: int) -> None:
    """Make `root` the root of its tree, in place: what lay between it and the root before now comes from it."""
    node, before = root, -1
    while node >= 0:
        parent[node], node, before = before, int(parent[node]), node


def _moved_to_the_cut(
    paths: Paths, roots: NDArray[np.int64], mask: NDArray[np.bool_], spacing_mm: Vector
) -> NDArray[np.float64]:
    """`(N, 3)` nodes with each root moved straight on to the end of the mask: its vessel goes on where that was cut."""
    points, radius = paths.points_mm, paths.radius_mm
    child = np.full(len(points), -1)
    downward = np.flatnonzero(paths.parent >= 0)
    child[paths.parent[downward]] = downward
    ahead = child[roots]
    ahead = np.where(child[ahead] >= 0, child[ahead], ahead)
    backward = points[roots] - points[ahead]
    backward /= np.linalg.norm(backward, axis=1, keepdims=True).clip(min=1e-9)
    step_mm = min(spacing_mm) / 4
    count = int(np.ceil(3 * radius[roots].max() / step_mm))
    further = points[roots, None] + backward[:, None] * (step_mm * np.arange(count))[:, None]  # (R, S, 3)
    i, j, k = np.moveaxis(np.rint(further / spacing_mm).astype(np.intp), -1, 0)
    inside = (np.minimum(np.minimum(i, j), k) >= 0) & (k < mask.shape[0]) & (j < mask.shape[1]) & (i < mask.shape[2])
    inside[inside] = mask[k[inside], j[inside], i[inside]]
    last = np.logical_and.accumulate(inside, axis=1).sum(axis=1) - 1
    moved = points.copy()
    moved[roots] = further[np.arange(len(roots)), last.clip(min=0)]
    return moved
