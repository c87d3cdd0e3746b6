# SPDX-License-Identifier: Apache-2.0
"""What holds for any triangle mesh: is it closed, what does it enclose, where does it face, which parts has it.

Vertices are `(V, 3)`, triangles `(T, 3)` vertex indices, counter-clockwise seen from outside.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Vertices = NDArray[np.floating]
Triangles = NDArray[np.integer]


def defect_vertices(triangles: Triangles, vertex_count: int) -> NDArray[np.int64]:
    """Vertices on edges that a closed oriented surface cannot have: open, or shared by more than two triangles.

    On a closed oriented 2-manifold every directed edge occurs once, and so does its opposite.
    """
    start = triangles.reshape(-1).astype(np.int64)
    end = triangles[:, [1, 2, 0]].reshape(-1).astype(np.int64)
    edges = np.sort(start * vertex_count + end)
    opposite = np.sort(end * vertex_count + start)
    doubled = edges[1:] == edges[:-1]
    if not doubled.any() and np.array_equal(edges, opposite):
        return np.empty(0, np.int64)
    found = opposite[np.searchsorted(opposite, edges).clip(max=len(edges) - 1)]
    bad = np.concatenate([edges[1:][doubled], edges[found != edges]])
    return np.unique(np.concatenate([bad // vertex_count, bad % vertex_count]))


def is_watertight(triangles: Triangles, vertex_count: int) -> bool:
    """True where the mesh has triangles and every edge is shared by exactly two of them, in opposite directions."""
    return len(triangles) > 0 and defect_vertices(triangles, vertex_count).size == 0


def fans(triangles: Triangles, vertex_count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """What lies around the vertices of a closed oriented mesh: of a 2-manifold one closed fan of triangles around each.

    Returns:
        `(T, 3)` int32 the fan that each corner belongs to, and `(F,)` the vertex in the middle of each fan. Fans as
        vertices make a 2-manifold of a mesh that touches itself in some.
    """
    start = triangles.reshape(-1).astype(np.int64)  # of edge and corner number 3 t + c
    end = triangles[:, [1, 2, 0]].reshape(-1).astype(np.int64)
    key = start * vertex_count + end
    order = np.argsort(key)
    opposite = order[np.searchsorted(key[order], end * vertex_count + start)]
    same_vertex = opposite + np.where(opposite % 3 == 2, -2, 1)  # where the opposite edge ends, in its triangle
    corners = len(start)
    links = coo_matrix((np.ones(corners, np.int8), (np.arange(corners), same_vertex)), shape=(corners, corners))
    count, fan = connected_components(links, directed=False)
    vertex_of_fan = np.zeros(count, np.int64)
    vertex_of_fan[fan] = start
    return fan.reshape(-1, 3), vertex_of_fan


def parts_of_vertices(triangles: Triangles, vertex_count: int) -> tuple[int, NDArray[np.int32]]:
    """The number of connected parts, and `(V,)` the part of each vertex. A vertex of no triangle is its own part."""
    start = triangles[:, :2].reshape(-1)
    end = triangles[:, 1:].reshape(-1)
    graph = coo_matrix((np.ones(len(start), np.int8), (start, end)), shape=(vertex_count, vertex_count))
    return connected_components(graph, directed=False)


def area_vectors(vertices: Vertices, triangles: Triangles) -> NDArray[np.float64]:
    """`(T, 3)` outward normals as long as the triangles' areas."""
    a, b, c = (vertices[triangles[:, corner]].astype(np.float64) for corner in range(3))
    return _cross(b - a, c - a) / 2


def signed_volumes(vertices: Vertices, triangles: Triangles) -> NDArray[np.float64]:
    """`(T,)` volumes between the triangles and the origin; their sum is that of a closed mesh, positive if outward."""
    a, b, c = (vertices[triangles[:, corner]].astype(np.float64) for corner in range(3))
    return np.einsum("ti,ti->t", a, _cross(b, c)) / 6


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The products of `(T, 3)` vectors, in half of the time that `np.cross` takes."""
    found = np.empty_like(a)
    for axis, (one, other) in enumerate(((1, 2), (2, 0), (0, 1))):
        np.subtract(a[:, one] * b[:, other], a[:, other] * b[:, one], out=found[:, axis])
    return found


def vertex_normals(
    vertices: Vertices, triangles: Triangles, vectors: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """`(V, 3)` outward unit normals: the area-weighted mean of the triangles around.

    Where these have no area or cancel out, the normal of the nearest vertex that has one; zero where no vertex has.
    `vectors` are the `area_vectors`, for who has them already.
    """
    vectors = area_vectors(vertices, triangles) if vectors is None else vectors
    count = len(vertices)
    normals = np.empty((count, 3))
    for axis in range(3):
        of_corners = (np.bincount(triangles[:, n], vectors[:, axis], minlength=count) for n in range(3))
        normals[:, axis] = sum(of_corners)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    known = length[:, 0] > 1e-12
    normals = np.divide(normals, length, out=np.zeros_like(normals), where=known[:, None])
    if known.any() and not known.all():
        _, nearest = cKDTree(vertices[known]).query(vertices[~known])
        normals[~known] = normals[known][nearest]
    return normals


def neighbor_means(values: NDArray[np.float64], triangles: Triangles, rounds: int) -> NDArray[np.float64]:
    """Values at vertices, `(V,)` or `(V, C)`, each replaced `rounds` times by half itself, half its neighbors' mean."""
    start = triangles.reshape(-1)
    end = triangles[:, [1, 2, 0]].reshape(-1)
    count = len(values)
    neighbors = coo_matrix((np.ones(len(start)), (start, end)), shape=(count, count)).tocsr()  # of a closed mesh: all
    degree = np.bincount(start, minlength=count).reshape(-1, *[1] * (values.ndim - 1)).clip(min=1)
    for _ in range(rounds):
        values = (values + neighbors @ values / degree) / 2
    return values


def restore_volume(
    vertices: Vertices,
    triangles: Triangles,
    group: NDArray[np.integer],
    volume_mm3: NDArray[np.float64],
    limit_mm: float,
) -> NDArray[np.float64]:
    """The mesh moved along its normals so that each group of its vertices encloses the volume it should.

    Smoothing and decimation both shrink what is convex, thin tubes most. One offset per group, the missing volume over
    the area, gives it back without bringing the steps back (three Newton iterations; the rest is below 0.1 %).

    Args:
        group: `(V,)` index into `volume_mm3`; the vertices of one triangle share it.
        volume_mm3: `(G,)` volume that each group is to enclose.
        limit_mm: no vertex is moved further; a surface that has all but vanished cannot be blown up again.

    Returns:
        `(V, 3)` float64 vertices.
    """
    moved = vertices.astype(np.float64)
    first_corner = triangles[:, 0]
    group_of_triangle = group[first_corner]
    offset_mm = np.zeros(len(volume_mm3))
    for _ in range(3):
        vectors = area_vectors(moved, triangles)
        area = np.sqrt(np.einsum("ti,ti->t", vectors, vectors))
        areas = np.bincount(group_of_triangle, area, minlength=len(volume_mm3))
        under = np.einsum("ti,ti->t", moved[first_corner], vectors) / 3  # the volumes as `signed_volumes` has them
        volumes = np.bincount(group_of_triangle, under, minlength=len(volume_mm3))
        missing_mm = np.divide(volume_mm3 - volumes, areas, out=np.zeros(len(volume_mm3)), where=areas > 0)
        step_mm = (offset_mm + missing_mm).clip(-limit_mm, limit_mm) - offset_mm
        offset_mm += step_mm
        moved += step_mm[group, None] * vertex_normals(moved, triangles, vectors)
    return moved
