# SPDX-License-Identifier: Apache-2.0
"""Distances to a structure's surface: exact for points, to a tenth of a millimetre for segments and needles.

An exact distance costs microseconds, so along a segment few are asked for. What makes few enough is that for the
distance d to any set, d(p)^2 - |p|^2 is the smallest of functions linear in p, and so concave (Felzenszwalb and
Huttenlocher 2012, section 2, is the same on a line). Between known values its linear interpolation is a bound from
below that falls short only to second order, on a segment as in the cells of a coarse lattice. The search along a
segment (branch and bound) starts with the lattice's bounds and ends when no part can hold a distance smaller than the
one found by more than `TOLERANCE_MM`: that is certain, not likely.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import Structure
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.segment_search import smallest_along
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries, checked_points
from liver_seg_ros.short_repr import short_repr

#: The clearance of a segment is at most this much larger than the exact one.
TOLERANCE_MM = 0.1

#: Nodes of a field's lattice, about: a quarter of a second and a quarter of a megabyte, however large the structure.
LATTICE_NODES = 50_000
#: Finer than this it gives no better bounds for its cost.
LEAST_SPACING_MM = 2.0

#: The lattice is asked this often along a segment; more asks cost more than the exact distances they save.
STEP_MM = 12.0

#: Segments that are searched at once.
CHUNK = 2_500


@dataclass(frozen=True, eq=False)
class SegmentClearance:
    """The clearances of segments or needles to a structure.

    Attributes:
        clearance_mm: `(N,)` smallest signed distance between needle and surface; negative where the needle touches or
            enters the structure, by as much as its axis is deep inside at most, plus its radius.
        at_mm: `(N, 3)` the point of the axis, LPS, where it is smallest to `TOLERANCE_MM`; one of several such.
    """

    clearance_mm: NDArray[np.float64]
    at_mm: NDArray[np.float64]

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class DistanceField:
    """Signed distances in mm to the surface of one structure, anywhere in space. Calls from several threads are safe.

    Attributes:
        surface: the mesh that distances are to.
        origin_mm: LPS position of the lattice's first node; its axes are those of LPS, its box that of the mesh.
        spacing_mm: `(x, y, z)` between nodes.
        squared_mm2: `(X, Y, Z)` float32, squared distances at the nodes.
    """

    surface: SurfaceQueries
    origin_mm: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    squared_mm2: NDArray[np.float32] = field(repr=False)

    __repr__ = short_repr

    @property
    def structure(self) -> Structure:
        """The row of the label table whose surface it is."""
        return self.surface.mesh.structure

    def distance(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """`(N,)` exact signed distances in mm of `(N, 3)` LPS points, negative inside.

        Raises:
            InputError: points of another shape or not finite.
        """
        return self.surface.signed_distance(checked_points(points_mm, "points"))

    def along(
        self, starts_mm: ArrayLike, stops_mm: ArrayLike, radius_mm: float = 0.0, enough_mm: float = -np.inf
    ) -> SegmentClearance:
        """The smallest distance to the structure along segments, or needles with round ends (capsules).

        At most `TOLERANCE_MM` larger than the exact one, never smaller. A segment may be a single point.

        Args:
            starts_mm, stops_mm: `(N, 3)` LPS ends of the axes.
            radius_mm: of the needle.
            enough_mm: who only asks whether the clearance is below this, as for a limit, has a part of the work: where
                it is, any clearance below it comes back.

        Raises:
            InputError: points of another shape, of different number or not finite, or a negative radius.
        """
        starts, stops = checked_segments(starts_mm, stops_mm)
        if not radius_mm >= 0:
            raise InputError(f"a needle's radius of {radius_mm} mm is negative")
        distances, places = np.empty(len(starts)), np.empty((len(starts), 3))
        bound, enough_mm = self.lower_bound_squared, enough_mm + radius_mm

        def search(first: int) -> None:
            part = slice(first, first + CHUNK)
            distances[part], places[part] = smallest_along(
                self.surface, starts[part], stops[part], bound, STEP_MM, TOLERANCE_MM, enough_mm
            )

        with ThreadPoolExecutor(2) as pool:  # numpy works in one while open3d works in the other
            list(pool.map(search, range(0, len(starts), CHUNK)))
        return SegmentClearance(distances - radius_mm, places)

    def lower_bound_squared(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(N,)` numbers in mm^2 that squared distances are not below: second-order tight, for a tenth of their cost.

        Outside the lattice's box by Pythagoras: as the box is convex and holds the surface, the angle at the nearest
        point of the box between here and any point of the surface is not acute.
        """
        index = (points_mm - self.origin_mm) / self.spacing_mm
        inside = index.clip(0, np.array(self.squared_mm2.shape) - 1)
        outside_mm2 = (((index - inside) * self.spacing_mm) ** 2).sum(axis=1)
        fraction = inside - np.floor(inside)
        dip_mm2 = (fraction * (1 - fraction) * self.spacing_mm**2).sum(axis=1)  # interpolated |p|^2 less the real one
        interpolated = map_coordinates(self.squared_mm2, inside.T, order=1, output=np.float64, prefilter=False)
        return (interpolated - dip_mm2).clip(min=0) + outside_mm2


def distance_field(mesh: Mesh) -> DistanceField:
    """The field of a closed mesh, such as the meshes of a `Reconstruction`.

    Raises:
        InputError: the mesh has no triangles.
    """
    surface = SurfaceQueries(mesh)
    low = mesh.vertices_mm.min(axis=0).astype(np.float64)
    extent = (mesh.vertices_mm.max(axis=0) - low).clip(min=1e-3)
    wished_mm = max(LEAST_SPACING_MM, float(np.prod(extent) / LATTICE_NODES) ** (1 / 3))
    cells = np.ceil(extent / wished_mm).astype(int)
    spacing = extent / cells
    nodes = low + np.moveaxis(np.indices(cells + 1), 0, -1).reshape(-1, 3) * spacing
    distance, _ = surface.nearest(nodes)
    return DistanceField(surface, low, spacing, (distance**2).astype(np.float32).reshape(cells + 1))


def distance_fields(meshes: Iterable[Mesh]) -> dict[Structure, DistanceField]:
    """One field per mesh. A structure without a mesh has no field: nothing comes near to it."""
    return {mesh.structure: distance_field(mesh) for mesh in meshes}


def checked_segments(starts_mm: ArrayLike, stops_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as `(N, 3)` float64. Raises `InputError` as `checked_points`, and where their numbers differ."""
    starts, stops = checked_points(starts_mm, "starts"), checked_points(stops_mm, "stops")
    if len(starts) != len(stops):
        raise InputError(f"{len(starts)} starts and {len(stops)} stops of segments; give as many of both")
    return starts, stops
