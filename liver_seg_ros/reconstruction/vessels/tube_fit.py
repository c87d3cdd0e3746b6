# SPDX-License-Identifier: Apache-2.0
"""Centerlines and radii finer than the voxels: tubes fitted to the wall of the vessels.

Voxel paths are half a voxel off their middle, and the distance to the nearest background voxel is not the radius. So
chains of balls are fitted to the points of the wall: those halfway between a voxel inside and its neighbor outside,
which are off the true wall by at most half a voxel, as often inside as outside. It is one sparse linear least-squares
problem per round: each wall point wants to be a radius away from the line, and the line wants to go on straight and as
wide as it was, which it does where no wall is near, inside a fork.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, eye_array, kron
from scipy.sparse.linalg import splu

from liver_seg_ros.geometry import Vector
from liver_seg_ros.reconstruction.vessels.centerlines import Paths, nearest_ball

#: The second round knows which wall belongs to which vessel better than the first; a third changes nothing.
ROUNDS = 2

#: Weights against that of the wall around a node: of a bend, of a change of radius, of a step along the line, and what
#: holds nodes without a wall in place.
BEND = 0.3
TAPER = 1.0
SLIDE = 1.0
STAY = 0.01

#: At the end of a vessel the distance to the wall grows by more than this per mm of path, behind its cap by less.
CAP_SLOPE = 0.35


def fit_tubes(paths: Paths, mask: NDArray[np.bool_], spacing_mm: Vector) -> Paths:
    """`paths` moved to the middle of the vessels of `mask` `[k, j, i]`, with the radii of their walls.

    Ends are cut back from the tip of the vessel to the center of the ball that fits into it; where a tree begins, the
    vessel has been cut off, and its line reaches to the cut.
    """
    if len(paths.parent) == 0:
        return paths
    voxel_mm = float(np.mean(spacing_mm))
    paths = _without_caps(paths, voxel_mm)
    lines = _Lines(paths.parent)
    wall_mm, area_mm2 = _wall(mask, spacing_mm)
    points = splu(eye_array(len(paths.parent), format="csc") + lines.bends).solve(paths.points_mm)
    radius = paths.radius_mm + voxel_mm / 4
    for _ in range(ROUNDS):
        points, radius = _fit(points, radius, lines, wall_mm, area_mm2, voxel_mm)
    return Paths(points, radius, paths.parent, paths.contacts)


class _Lines:
    """What is straight in a forest: nodes that follow each other on a path.

    Attributes:
        before, after: `(N,)` neighbors of each node on its line; the node itself where the line ends.
        bends, tapers: `(N, N)` matrices of the squared second difference, across forks toward the root, and of the
            squared first difference, along paths only.
    """

    def __init__(self, parent: NDArray[np.int64]) -> None:
        count = len(parent)
        here = np.arange(count)
        goes_on = np.append(parent[1:] == here[:-1], False)
        self.parent = parent
        self.before = np.where(parent >= 0, parent, here)
        self.after = np.where(goes_on, here + 1, here)
        middle = np.flatnonzero(goes_on & (parent >= 0))
        second = _differences(count, [(parent[middle], 1.0), (middle, -2.0), (middle + 1, 1.0)])
        starts = np.flatnonzero(goes_on)
        first = _differences(count, [(starts, -1.0), (starts + 1, 1.0)])
        self.bends = (second.T @ second).tocsc()
        self.tapers = (first.T @ first).tocsc()

    def tangents(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(N, 3)` unit vectors away from the root; zero where a node is a line by itself."""
        vector = points[self.after] - points[self.before]
        return vector / np.linalg.norm(vector, axis=1, keepdims=True).clip(min=1e-9)


def _differences(count: int, terms: list[tuple[NDArray[np.int64], float]]) -> csc_array:
    rows = np.tile(np.arange(len(terms[0][0])), len(terms))
    values = np.repeat([value for _, value in terms], len(terms[0][0]))
    columns = np.concatenate([nodes for nodes, _ in terms])
    return coo_array((values, (rows, columns)), shape=(len(terms[0][0]), count)).tocsc()


def _wall(mask: NDArray[np.bool_], spacing_mm: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`(S, 3)` centers of the faces between voxels inside and outside, mm along `(i, j, k)`, and `(S,)` their areas."""
    points, areas = [], []
    for axis in range(3):
        one, next_one = [slice(None)] * 3, [slice(None)] * 3
        one[axis], next_one[axis] = slice(None, -1), slice(1, None)
        face = np.argwhere(mask[tuple(one)] != mask[tuple(next_one)]).astype(np.float64)
        face[:, axis] += 0.5
        points.append(face[:, ::-1] * spacing_mm)
        areas.append(np.full(len(face), np.prod(spacing_mm) / spacing_mm[2 - axis]))
    return np.concatenate(points), np.concatenate(areas)


def _fit(
    points: NDArray[np.float64],
    radius: NDArray[np.float64],
    lines: _Lines,
    wall_mm: NDArray[np.float64],
    area_mm2: NDArray[np.float64],
    voxel_mm: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One round: nodes and radii for which the wall points around each node are a radius away from its line."""
    count = len(points)
    tangent = lines.tangents(points)
    node = nearest_ball(points, radius, wall_mm)
    offset = wall_mm - points[node]
    along = np.einsum("si,si->s", offset, tangent[node])
    across = offset - along[:, None] * tangent[node]
    distance = np.linalg.norm(across, axis=1)
    outward = across / distance.clip(min=1e-9)[:, None]

    off = (distance - radius[node]) / (voxel_mm / 2 + radius[node] / 5)
    weight = area_mm2 / (2 * np.pi * radius[node].clip(min=voxel_mm / 2) * voxel_mm) / (1 + off**2)  # Cauchy
    weight[np.abs(along) > voxel_mm] = 0  # beyond an end

    # Unknown of each node: position and radius; a wall point asks for outward . (position - now) + radius = distance.
    asks = np.column_stack([outward, np.ones(len(outward))])
    wants = distance + np.einsum("si,si->s", outward, points[node])
    blocks, right = np.empty((count, 4, 4)), np.empty((count, 4))
    for row in range(4):
        right[:, row] = np.bincount(node, weight * asks[:, row] * wants, minlength=count)
        for column in range(row + 1):
            entry = np.bincount(node, weight * asks[:, row] * asks[:, column], minlength=count)
            blocks[:, row, column] = blocks[:, column, row] = entry
    hold = SLIDE * np.einsum("ni,nj->nij", tangent, tangent) + STAY * np.eye(3)
    blocks[:, :3, :3] += hold
    right[:, :3] += np.einsum("nij,nj->ni", hold, points)
    blocks[:, 3, 3] += STAY
    right[:, 3] += STAY * radius

    place = np.arange(4 * count).reshape(count, 4)
    rows, columns = np.repeat(place, 4, axis=1).reshape(-1), np.tile(place, (1, 4)).reshape(-1)
    matrix = coo_array((blocks.reshape(-1), (rows, columns)), shape=(4 * count, 4 * count)).tocsc()
    matrix += kron(BEND * lines.bends, np.diag([1.0, 1, 1, 0]), format="csc")
    matrix += kron(TAPER * lines.tapers, np.diag([0.0, 0, 0, 1]), format="csc")
    factors = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    solution = factors.solve(right.reshape(-1)).reshape(count, 4)
    return solution[:, :3], solution[:, 3].clip(min=voxel_mm / 4)


def _without_caps(paths: Paths, voxel_mm: float) -> Paths:
    """Paths cut back from the wall at both ends to the middle of the last ball, as far as no fork is passed.

    Toward that middle the distance to the wall grows as fast as the path at a round end, more slowly at one cut off
    aslant; behind it, it does not. So the path is cut where the distance less a third of the path is largest.
    """
    parent, points, radius = paths.parent, paths.points_mm, paths.radius_mm
    children = np.bincount(parent[parent >= 0], minlength=len(parent))
    kept = np.ones(len(parent), bool)
    step_mm = np.append(np.linalg.norm(np.diff(points, axis=0), axis=1), 0.0)
    is_end = (children == 0) | (parent < 0)
    is_end[paths.contacts] = False
    needed = np.zeros(len(parent), bool)
    needed[paths.contacts] = True
    for end in np.flatnonzero(is_end).tolist():
        way = -1 if children[end] == 0 else 1  # nodes of a path follow each other
        best, length, cut, node = -np.inf, voxel_mm / 2, end, end
        while True:
            score = float(radius[node]) - CAP_SLOPE * length
            if score > best:
                best, cut = score, node
            elif score < best - CAP_SLOPE * voxel_mm:
                break
            if needed[node]:
                break
            ahead = node + way
            if not 0 <= ahead < len(parent) or parent[max(node, ahead)] != min(node, ahead) or children[ahead] != 1:
                break
            if way < 0 and (parent[ahead] < 0 or not kept[parent[ahead]]):  # a step is left
                break
            length += step_mm[min(node, ahead)]
            node = ahead
        kept[end:cut] = kept[cut + 1 : end + 1] = False  # one of the two is empty
    number = np.cumsum(kept) - 1
    before = np.where((parent >= 0) & kept[parent], number[parent], -1)
    return Paths(points[kept], radius[kept], before[kept], number[paths.contacts])
