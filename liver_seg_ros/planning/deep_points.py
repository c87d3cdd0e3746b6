# SPDX-License-Identifier: Apache-2.0
"""How deep inside a surface many points are that lie beside each other.

Deep inside all of a surface is about equally near, so that a tree of boxes leaves nothing out: a question for the
nearest point takes ten times as long as beside the surface. But there vertices tell the depth nearly as well as
triangles do, and how well is known (`vertex_clusters`). So points beside each other are compared with all vertices that
may matter to one of them, by one product of matrices. Where that does not tell the depth well enough it is asked for
exactly.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.planning.groups import halved
from liver_seg_ros.planning.vertex_clusters import VertexClusters
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries

Array = NDArray[np.float64]

#: A depth that vertices do not tell to this is asked for exactly.
GAP_MM = 0.05

#: Points of one block, at most; fewer deep points than these are all asked for exactly.
BLOCK, FEWEST = 128, 32

#: A surface of more vertices is always asked exactly: of so many too many matter.
MOST_VERTICES = 20_000

#: Points times vertices of one product of matrices: what stays in the cache, and starts no threads.
AT_ONCE = 1 << 15


class DeepPoints:
    """A surface, to be asked how deep points are. Calls from several threads are safe."""

    def __init__(self, surface: SurfaceQueries) -> None:
        self._surface = surface

    def __repr__(self) -> str:
        return f"DeepPoints({self._surface.mesh.structure.name})"

    @cached_property
    def clusters(self) -> VertexClusters:
        """Made when they are first needed."""
        return VertexClusters.of(self._surface.mesh)

    @property
    def _least_mm(self) -> float:
        """From where on vertices usually tell the depth."""
        return self.clusters.usual_slack_mm2 / (2 * GAP_MM)

    def ask(self, points_mm: Array, most_mm: Array) -> tuple[Array, Array]:
        """`(N,)` distances in mm of `(N, 3)` LPS points, at most `GAP_MM` too small, and places on the surface.

        Those `(N, 3)` are no further away than `GAP_MM` more than that distance.

        Args:
            most_mm: `(N,)` what the distances are known not to be above, infinite where nothing is known.
        """
        distance_mm, nearest_mm = np.empty(len(points_mm)), np.empty((len(points_mm), 3))
        exactly = np.ones(len(points_mm), bool)
        if len(points_mm) >= FEWEST and len(self._surface.mesh.vertices_mm) <= MOST_VERTICES:
            deep = np.flatnonzero(most_mm > self._least_mm)
            for block in deep[halved(points_mm[deep], BLOCK)] if len(deep) >= FEWEST else ():
                found = self._of_block(points_mm[block])
                if found is not None:
                    distance_mm[block], nearest_mm[block] = found
                    to_nearest_mm = np.linalg.norm(nearest_mm[block] - points_mm[block], axis=1)
                    exactly[block] = to_nearest_mm - distance_mm[block] > GAP_MM
        rest = np.flatnonzero(exactly)
        if len(rest):
            distance_mm[rest], nearest_mm[rest] = self._surface.nearest(points_mm[rest])
        return distance_mm, nearest_mm

    def _of_block(self, points_mm: Array) -> tuple[Array, Array] | None:
        """`(N,)` what distances are not below, and the vertices `(N, 3)` that say so; None where no point is deep."""
        center_mm = (points_mm.min(axis=0) + points_mm.max(axis=0)) / 2
        points = points_mm - center_mm
        reach_mm = float(np.sqrt((points**2).sum(axis=1).max()))
        most_mm = self.clusters.most_mm(center_mm, reach_mm)
        if most_mm < self._least_mm:
            return None
        vertices, slack_mm2 = self.clusters.near(center_mm, reach_mm, most_mm)
        vertices = vertices - center_mm
        # |p - v|^2 - slack of all with all.
        by_vertex = np.empty((5, len(vertices)), np.float32)
        by_vertex[:3], by_vertex[3] = vertices.T, 1
        by_vertex[4] = np.einsum("vi,vi->v", vertices, vertices) - slack_mm2
        by_point = np.empty((len(points), 5), np.float32)
        by_point[:, :3], by_point[:, 4] = -2 * points, 1
        by_point[:, 3] = np.einsum("pi,pi->p", points, points)
        best, least_mm2 = np.zeros(len(points), np.intp), np.full(len(points), np.inf, np.float32)
        step = AT_ONCE // len(points)
        for first in range(0, len(vertices), step):
            squared = by_point @ by_vertex[:, first : first + step]
            place = squared.argmin(axis=1)
            smallest = np.take_along_axis(squared, place[:, None], axis=1)[:, 0]
            better = smallest < least_mm2
            best[better], least_mm2[better] = place[better] + first, smallest[better]
        size_mm = np.abs(points).max() + np.abs(vertices).max()
        error_mm2 = 32 * np.finfo(np.float32).eps * size_mm**2
        return np.sqrt((least_mm2 - error_mm2).clip(0).astype(np.float64)), vertices[best] + center_mm
