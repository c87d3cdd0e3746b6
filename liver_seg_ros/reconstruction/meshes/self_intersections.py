# SPDX-License-Identifier: Apache-2.0
"""Where a surface goes through itself, and how it is put right.

Two triangles that share no corner intersect exactly where an edge of one goes through the other; so do those that share
one corner only. So every edge is a ray of its own length, and Embree (through open3d) says which triangles it meets:
a few hundredths of a second for 30 000 triangles, where open3d's own search compares all pairs and takes half a minute.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.open3d_library import import_open3d
from liver_seg_ros.reconstruction.meshes.triangles import Triangles, Vertices, neighbor_means

#: Rays at once: open3d holds Python's lock meanwhile, and a node's other threads wait.
RAYS_AT_ONCE = 20_000

#: Part of an edge that is not looked at at either end, where it meets the triangles around its corners.
END = 1e-4

#: How often the places where a surface goes through itself are smoothed, each time a bit further around.
ROUNDS = 8


def self_intersections(vertices: Vertices, triangles: Triangles) -> NDArray[np.intp]:
    """`(P, 2)` pairs of triangles that intersect, the smaller number first, each pair once.

    Touching in a common corner or along a common edge is no intersection.
    """
    start = triangles.reshape(-1)
    end = triangles[:, [1, 2, 0]].reshape(-1)
    once = np.flatnonzero(start < end)
    found, hit = edge_crossings(vertices, start[once], end[once], vertices, triangles)
    edge, corners = once[found], triangles[hit]
    apart = (corners != start[edge, None]).all(axis=1) & (corners != end[edge, None]).all(axis=1)
    edge, hit = edge[apart], hit[apart]
    # An edge has a triangle on the other side too, in which it goes the other way.
    key, opposite = start.astype(np.int64) << 32 | end, end[edge].astype(np.int64) << 32 | start[edge]
    order = np.argsort(key) if edge.size else np.empty(0, np.intp)
    other = order[np.searchsorted(key[order], opposite)]
    pairs = np.concatenate([np.stack([side // 3, hit], axis=1) for side in (edge, other)])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def edge_crossings(
    vertices: Vertices,
    start: NDArray[np.integer],
    end: NDArray[np.integer],
    other_vertices: Vertices,
    other_triangles: Triangles,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which edges, `(E,)` indices of `vertices` each, go through which triangles: `(C,)` edges and `(C,)` triangles."""
    open3d = import_open3d()

    tensor = open3d.core.Tensor.from_numpy
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(tensor(other_vertices.astype(np.float32)), tensor(other_triangles.astype(np.uint32)))
    edges, found = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for first in range(0, len(start), RAYS_AT_ONCE):
        part = slice(first, first + RAYS_AT_ONCE)
        origin = vertices[start[part]]
        rays = np.concatenate([origin, vertices[end[part]] - origin], axis=1).astype(np.float32)
        # Lists of hits go on beyond the end of an edge; so only for edges that hit something on their way.
        hitting = np.flatnonzero(scene.test_occlusions(tensor(rays), tnear=END, tfar=1 - END).numpy())
        if hitting.size:
            hits = {name: hit.numpy() for name, hit in scene.list_intersections(tensor(rays[hitting])).items()}
            within = hits["t_hit"] <= 1
            edges.append(hitting[hits["ray_ids"][within].astype(np.intp)] + first)
            found.append(hits["primitive_ids"][within].astype(np.intp))
    edge, triangle = np.concatenate(edges), np.concatenate(found)
    # Embree computes in float32, which is not enough for slivers.
    a, b, c = (other_vertices[other_triangles[triangle, corner]].astype(np.float64) for corner in range(3))
    p, q = (vertices[ends[edge]].astype(np.float64) for ends in (start, end))
    sides = np.sign([_volume(p, q, a, b), _volume(p, q, b, c), _volume(p, q, c, a)])
    through = (abs(sides.sum(axis=0)) == 3) & (_volume(p, a, b, c) * _volume(q, a, b, c) < 0)
    return edge[through], triangle[through]


def _volume(
    a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64], d: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Six times the signed volumes of tetrahedra: on which side of the plane through three points the fourth is."""
    return np.einsum("ni,ni->n", np.cross(b - a, c - a), d - a)


def without_self_intersections(
    vertices: NDArray[np.float64], triangles: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """`(V, 3)` vertices, smoothed where the closed surface went through itself, and the pairs that are left.

    Everything else stays where it is. Where smoothing does not help, as where two branches lie in each other, the
    pairs that are left are to be reported.
    """
    pairs = self_intersections(vertices, triangles)
    best, fewest = vertices, pairs
    for rings in range(ROUNDS):
        if len(pairs) == 0:
            break
        around = np.zeros(len(vertices), bool)
        around[triangles[pairs]] = True
        for _ in range(rings // 2):
            around[triangles[around[triangles].any(axis=1)]] = True
        vertices = np.where(around[:, None], neighbor_means(vertices, triangles, 1), vertices)
        pairs = self_intersections(vertices, triangles)
        if len(pairs) < len(fewest):
            best, fewest = vertices, pairs
    return best, fewest
