# SPDX-License-Identifier: Apache-2.0
"""What a collision mesh has to enclose, and whether and how closely a mesh does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, cKDTree

from liver_seg_ros.mesh import Mesh
from liver_seg_ros.reconstruction.borders import at_borders
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.meshes.self_intersections import edge_crossings
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries
from liver_seg_ros.reconstruction.meshes.surfaces import Surface
from liver_seg_ros.reconstruction.meshes.triangles import area_vectors
from liver_seg_ros.short_repr import short_repr

#: What is told to reach out of a mesh where it is an edge or a corner that just comes through a face.
JUST_OUTSIDE_MM = 0.05

#: Points that are asked for at once in search of the furthest one.
FURTHEST_AT_ONCE = 500


@dataclass(frozen=True, eq=False)
class Enclosed:
    """The visual mesh, and the voxel centers that are not inside of it.

    Attributes:
        visual: the mesh.
        centers_mm: `(C, 3)` LPS.
        centers: the same, to look for the nearest; None where there are none.
        step: is called after each piece of work that takes a moment.
    """

    visual: SurfaceQueries
    centers_mm: NDArray[np.float64]
    centers: cKDTree | None
    step: Callable[[], None]

    __repr__ = short_repr

    @staticmethod
    def of(mask: StructureMask, visual: Mesh, step: Callable[[], None]) -> Enclosed:
        queries = SurfaceQueries(visual)
        k, j, i = np.nonzero(mask.array & at_borders(mask.array))
        centers_mm = mask.geometry.index_to_lps(np.stack([i, j, k], axis=1))
        centers_mm = centers_mm[~queries.contains(centers_mm)]
        step()
        return Enclosed(queries, centers_mm, cKDTree(centers_mm) if len(centers_mm) else None, step)

    def distance_mm(self, points_mm: NDArray[np.float64], *, signed: bool = False) -> NDArray[np.float64]:
        """`(N,)` distances to the nearest of mesh and centers; where `signed`, that to the mesh is negative inside."""
        found_mm = self.visual.signed_distance(points_mm) if signed else self.visual.nearest(points_mm)[0]
        if self.centers is not None and len(points_mm):
            limit_mm = max(0.0, float(found_mm.max())) * 1.001  # a center further away is none of the nearest
            found_mm = np.minimum(found_mm, self.centers.query(points_mm, distance_upper_bound=limit_mm)[0])
        return found_mm

    def outside(self, mesh: Mesh) -> tuple[float, NDArray[np.intp]]:
        """How far this reaches out of a mesh, mm, and `(N,)` the triangles there; 0 and none where it is enclosed."""
        queries = SurfaceQueries(mesh)
        points_mm = np.concatenate([self.visual.mesh.vertices_mm, self.centers_mm])
        outside_mm, triangles = queries.nearest_triangles(points_mm[~queries.contains(points_mm)])
        if outside_mm.size:
            return max(JUST_OUTSIDE_MM, float(outside_mm.max())), triangles
        _, entered = _crossings(self.visual.mesh, mesh)
        through, _ = _crossings(mesh, self.visual.mesh)
        crossed = np.concatenate([entered, through])
        return JUST_OUTSIDE_MM if crossed.size else 0.0, crossed

    def furthest_mm(self, mesh: Mesh) -> float:
        """How far the vertices of a mesh and the middles of its edges and faces are from this at most.

        A middle is no further from the mesh than from the point that is nearest to a corner. So few are asked for:
        those that may be further than what was found.
        """
        near_mm, nearest = self.visual.nearest(mesh.vertices_mm)
        corners, nearest = mesh.vertices_mm[mesh.triangles].astype(np.float64), nearest[mesh.triangles]  # (T, 3, 3)
        points_mm, limits_mm = [mesh.vertices_mm.astype(np.float64)], [near_mm]
        for ends in ((0, 1), (1, 2), (2, 0), (0, 1, 2)):
            middle = corners[:, ends].mean(axis=1)
            points_mm.append(middle)
            limits_mm.append(np.linalg.norm(nearest[:, ends] - middle[:, None], axis=2).min(axis=1))
        points, limit_mm = np.concatenate(points_mm), np.concatenate(limits_mm)
        furthest_mm = 0.0
        order = np.argsort(-limit_mm)
        for first in range(0, len(order), FURTHEST_AT_ONCE):
            part = order[first : first + FURTHEST_AT_ONCE]
            part = part[limit_mm[part] > furthest_mm]
            if not part.size:
                break
            furthest_mm = max(furthest_mm, float(self.distance_mm(points[part]).max()))
        return furthest_mm

    def hull(self, mask: StructureMask) -> Surface:
        """The convex hull, in mm along the axes of the mask's grid."""
        points_mm = np.concatenate([self.visual.mesh.vertices_mm, self.centers_mm])
        points_mm = mask.geometry.lps_to_index(points_mm) * mask.geometry.spacing_mm
        hull = ConvexHull(points_mm)
        triangles = hull.simplices.astype(np.int32)
        inward = np.einsum("ti,ti->t", area_vectors(points_mm, triangles), hull.equations[:, :3]) < 0
        triangles[inward] = triangles[inward, ::-1]
        corners, triangles = np.unique(triangles, return_inverse=True)
        return Surface(points_mm[corners], triangles.reshape(-1, 3).astype(np.int32))


def _crossings(mesh: Mesh, other: Mesh) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Triangles of `mesh` of which an edge goes through the other, and those of the other that it goes through."""
    start, end = mesh.triangles.reshape(-1), mesh.triangles[:, [1, 2, 0]].reshape(-1)
    once = np.flatnonzero(start < end)
    edge, triangle = edge_crossings(mesh.vertices_mm, start[once], end[once], other.vertices_mm, other.triangles)
    return once[edge] // 3, triangle
