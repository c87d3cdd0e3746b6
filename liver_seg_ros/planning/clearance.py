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
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import Structure
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.deep_points import DeepPoints
from liver_seg_ros.planning.lattice import Lattice
from liver_seg_ros.planning.segment_search import smallest_along
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries, checked_points
from liver_seg_ros.short_repr import short_repr

#: The clearance of a segment is at most this much larger than the exact one.
TOLERANCE_MM = 0.1

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
        lattice: what those distances are not below.
        deep: the depths of many points inside.
    """

    surface: SurfaceQueries
    lattice: Lattice
    deep: DeepPoints

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
        bound, enough_mm = self.lattice.lower_bound_squared, enough_mm + radius_mm

        def search(first: int) -> None:
            part = slice(first, first + CHUNK)
            distances[part], places[part] = smallest_along(
                self.surface, self.deep, starts[part], stops[part], bound, STEP_MM, TOLERANCE_MM, enough_mm
            )

        with ThreadPoolExecutor(2) as pool:  # numpy works in one while open3d works in the other
            list(pool.map(search, range(0, len(starts), CHUNK)))
        return SegmentClearance(distances - radius_mm, places)


def distance_field(mesh: Mesh) -> DistanceField:
    """The field of a closed mesh, such as the meshes of a `Reconstruction`.

    Raises:
        InputError: the mesh has no triangles.
    """
    surface = SurfaceQueries(mesh)
    return DistanceField(surface, Lattice(surface), DeepPoints(surface))


def distance_fields(meshes: Iterable[Mesh]) -> dict[Structure, DistanceField]:
    """One field per mesh. A structure without a mesh has no field: nothing comes near to it."""
    return {mesh.structure: distance_field(mesh) for mesh in meshes}


def checked_segments(starts_mm: ArrayLike, stops_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as `(N, 3)` float64. Raises `InputError` as `checked_points`, and where their numbers differ."""
    starts, stops = checked_points(starts_mm, "starts"), checked_points(stops_mm, "stops")
    if len(starts) != len(stops):
        raise InputError(f"{len(starts)} starts and {len(stops)} stops of segments; give as many of both")
    return starts, stops
