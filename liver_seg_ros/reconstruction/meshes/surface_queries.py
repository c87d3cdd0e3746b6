# SPDX-License-Identifier: Apache-2.0
"""What a closed triangle mesh can be asked: how far, on which side, and where a straight line goes in and out.

Embree (through open3d) answers all of them exactly on the triangles, in float32 and on all cores. open3d holds Python's
lock meanwhile, so that many points are asked for in parts: a node's other threads go on in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.open3d_library import import_open3d
from liver_seg_ros.short_repr import short_repr

#: Lines are moved by this, in no special direction: one that lies in the plane of a triangle, as along the axes of a
#: grid, meets it or not by chance, and sides get mixed up.
OFF_MM = (4e-4, -7e-4, 5e-4)

#: Points of one question, which takes some 10 ms.
POINTS_AT_ONCE = 5_000

#: Points in cells of this size are asked for one after another; cells of a body along an axis at most.
CELL_MM, CELLS = 4.0, 10_000.0


@dataclass(frozen=True, eq=False)
class Crossings:
    """Where segments go through a surface, ordered by segment and along it.

    Going in and coming out alternate along a segment.

    Attributes:
        segment: `(C,)` number of the segment.
        along_mm: `(C,)` distance from the segment's start.
        inward: `(C,)` bool, True where it goes in.
        normal: `(C, 3)` outward unit normal there, smooth over the triangles.
        starts_inside: `(N,)` bool, of each segment.
    """

    segment: NDArray[np.intp]
    along_mm: NDArray[np.float64]
    inward: NDArray[np.bool_]
    normal: NDArray[np.float64]
    starts_inside: NDArray[np.bool_]

    __repr__ = short_repr


class SurfaceQueries:
    """A mesh, ready to be asked. Calls from several threads are safe. Pickled it is its mesh, and made ready again.

    Raises:
        InputError: the mesh has no triangles.
    """

    def __init__(self, mesh: Mesh) -> None:
        open3d = import_open3d()

        if len(mesh.triangles) == 0:
            raise InputError(f"the mesh of {mesh.structure.name} has no triangles")
        self.mesh = mesh
        self._tensor = open3d.core.Tensor.from_numpy
        self._scene = open3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(self._tensor(mesh.vertices_mm), self._tensor(mesh.triangles.astype(np.uint32)))
        corners = mesh.vertices_mm[mesh.triangles].astype(np.float64)
        self._area_vectors = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        self.nearest(mesh.vertices_mm[:1])  # Embree builds its tree at the first question, and not twice at once

    def __reduce__(self) -> tuple[type[SurfaceQueries], tuple[Mesh]]:
        return SurfaceQueries, (self.mesh,)

    def nearest(self, points_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`(N,)` unsigned distances in mm of `(N, 3)` LPS points, and `(N, 3)` the nearest points of the surface."""
        distance_mm, found_mm, _ = self._closest(points_mm)
        return distance_mm, found_mm

    def nearest_triangles(self, points_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """`(N,)` unsigned distances in mm of `(N, 3)` LPS points, and `(N,)` the numbers of the nearest triangles."""
        distance_mm, _, triangle = self._closest(points_mm)
        return distance_mm, triangle

    def _closest(self, points_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
        points = np.ascontiguousarray(points_mm, np.float32).reshape(-1, 3)
        found, triangle = np.empty_like(points), np.empty(len(points), np.intp)
        order = _beside_each_other(points)
        for part in (order[part] for part in _parts(len(points))):
            closest = self._scene.compute_closest_points(self._tensor(points[part]))
            found[part], triangle[part] = closest["points"].numpy(), closest["primitive_ids"].numpy()
        return np.linalg.norm(found.astype(np.float64) - points, axis=1), found.astype(np.float64), triangle

    def signed_distance(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """`(N,)` distances in mm of `(N, 3)` LPS points, negative inside."""
        points = np.ascontiguousarray(points_mm, np.float32).reshape(-1, 3)
        distance = np.empty(len(points))
        for part in _parts(len(points)):
            distance[part] = self._scene.compute_signed_distance(self._tensor(points[part]), nsamples=3).numpy()
        return distance

    def contains(self, points_mm: ArrayLike) -> NDArray[np.bool_]:
        """`(N,)` bool: which of `(N, 3)` LPS points are inside; several times as fast as the sign of a distance."""
        points = np.ascontiguousarray(points_mm, np.float32).reshape(-1, 3)
        inside = np.empty(len(points), bool)
        for part in _parts(len(points)):
            inside[part] = self._scene.compute_occupancy(self._tensor(points[part]), nsamples=3).numpy() > 0
        return inside

    def crossings(self, starts_mm: ArrayLike, stops_mm: ArrayLike) -> Crossings:
        """Where the segments between `(N, 3)` and `(N, 3)` LPS points go through the surface.

        Each is prolonged beyond its stop to learn from the first crossing on which side it starts. A line through an
        edge may meet both triangles of it; of several crossings in the same direction only the first counts.
        """
        starts = np.asarray(starts_mm, np.float64)
        direction, length = directions(starts, stops_mm)
        rays = np.concatenate([starts + OFF_MM, direction], axis=1).astype(np.float32)
        if len(rays) == 0:
            return Crossings(np.empty(0, np.intp), np.empty(0), np.empty(0, bool), np.empty((0, 3)), np.empty(0, bool))
        hits = {name: hit.numpy() for name, hit in self._scene.list_intersections(self._tensor(rays)).items()}
        segment = hits["ray_ids"].astype(np.intp)
        order = np.lexsort((hits["t_hit"], segment))
        segment, triangle = segment[order], hits["primitive_ids"][order].astype(np.intp)
        along_mm = hits["t_hit"][order].astype(np.float64)
        inward = np.einsum("ci,ci->c", direction[segment], self._area_vectors[triangle]) < 0

        first = np.diff(segment, prepend=-1) > 0
        starts_inside = np.zeros(len(starts), bool)
        starts_inside[segment[first]] = ~inward[first]
        kept = (first | np.diff(inward, prepend=False)) & (along_mm <= length[segment])
        normal = self._smooth_normals(triangle[kept], hits["primitive_uvs"][order][kept])
        return Crossings(segment[kept], along_mm[kept], inward[kept], normal, starts_inside)

    def _smooth_normals(self, triangle: NDArray[np.intp], uv: NDArray[np.float32]) -> NDArray[np.float64]:
        """`(C, 3)` vertex normals interpolated at barycentric `uv` `(C, 2)`; the triangle's own where they cancel."""
        weights = np.stack([1 - uv.sum(axis=1), uv[:, 0], uv[:, 1]], axis=1)
        normal = np.einsum("cv,cvx->cx", weights, self.mesh.normals[self.mesh.triangles[triangle]].astype(np.float64))
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        normal = np.where(length > 1e-3, normal, self._area_vectors[triangle])
        return normal / np.linalg.norm(normal, axis=1, keepdims=True).clip(min=1e-30)


def _beside_each_other(points: NDArray[np.float32]) -> NDArray[np.intp]:
    """`(N,)` an order in which points follow each other that go the same way down Embree's tree: a third faster."""
    x, y, z = np.floor(points.T.astype(np.float64) / CELL_MM)
    return np.argsort((z * CELLS + y) * CELLS + x)


def _parts(count: int) -> list[slice]:
    return [slice(first, first + POINTS_AT_ONCE) for first in range(0, count, POINTS_AT_ONCE)]


def directions(starts_mm: ArrayLike, stops_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`(N, 3)` unit vectors from `(N, 3)` points to others, and `(N,)` lengths; +z where both are one point."""
    vector = np.asarray(stops_mm, np.float64) - np.asarray(starts_mm, np.float64)
    length = np.linalg.norm(vector, axis=1)
    direction = np.divide(vector, length[:, None], out=np.zeros_like(vector), where=length[:, None] > 0)
    direction[length == 0] = (0.0, 0.0, 1.0)
    return direction, length


def checked_points(points_mm: ArrayLike, what: str) -> NDArray[np.float64]:
    """`points_mm` as `(N, 3)` float64.

    Raises:
        InputError: another shape, or a coordinate that is not finite; says which row.
    """
    points = np.asarray(points_mm, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"{what} of shape {points.shape}; give (N, 3) LPS coordinates in mm")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if bad.size:
        raise InputError(f"{what}: row {bad[0]} is {points[bad[0]].tolist()}; coordinates must be finite, in mm")
    return points
