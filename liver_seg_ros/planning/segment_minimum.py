# SPDX-License-Identifier: Apache-2.0
"""The smallest signed distance to a surface that was found on each of many segments so far, and what asks for more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.planning.deep_points import DeepPoints
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries, directions

Array = NDArray[np.float64]
Ids = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: A cut keeps this share of an interval's length from its ends, so that intervals shrink in any case.
LEAST_SHARE = 0.1


class Minimum:
    """What is known of each segment: `value_mm` `(N,)`, the smallest value found so far, at `along_mm` `(N,)`."""

    def __init__(
        self,
        surface: SurfaceQueries,
        deep: DeepPoints,
        starts: Array,
        stops: Array,
        tolerance_mm: float,
        enough_mm: float,
    ) -> None:
        self.surface, self.deep = surface, deep
        direction, self.length_mm = directions(starts, stops)
        self.direction = np.ascontiguousarray(direction.T)  # (3, N): a coordinate's values lie beside each other
        self.starts_mm = np.ascontiguousarray(starts.T)
        self.crossings = surface.crossings(starts, stops)
        self.tolerance_mm, self.enough_mm = tolerance_mm, enough_mm
        self.value_mm = np.full(len(starts), np.inf)
        self.along_mm = np.zeros(len(starts))

    def points(self, segment: Ids, along_mm: Array) -> Array:
        """`(3, A)` LPS."""
        points: Array = self.direction[:, segment]
        points *= along_mm
        points += self.starts_mm[:, segment]
        return points

    def ask(self, segment: Ids, along_mm: Array) -> tuple[Array, Array]:
        """Exact unsigned distances `(A,)` of these places, and `(3, A)` the nearest points of the surface."""
        distance_mm, nearest_mm = self.surface.nearest(self.points(segment, along_mm).T)
        return distance_mm, nearest_mm.T

    def ask_inside(self, segment: Ids, along_mm: Array, most_mm: Array) -> tuple[Array, Array]:
        """How deep these places inside are, not too deep, and points of the surface beside them: `DeepPoints.ask`."""
        depth_mm, nearest_mm = self.deep.ask(self.points(segment, along_mm).T, most_mm)
        return depth_mm, nearest_mm.T

    def improve(self, segment: Ids, value_mm: Array, along_mm: Array) -> None:
        better = np.flatnonzero(value_mm < self.value_mm[segment])
        best = better[np.argsort(-value_mm[better], kind="stable")]  # of several for a segment the smallest comes last
        self.value_mm[segment[best]] = value_mm[best]
        self.along_mm[segment[best]] = along_mm[best]

    def may_be_better(self, segment: Ids, lowest_mm: Array) -> Mask:
        """Which of the parts of these segments may hold something that is wanted and better than what was found."""
        value_mm = self.value_mm[segment]
        return (lowest_mm < value_mm - self.tolerance_mm) & (value_mm >= self.enough_mm)


def dot(a: Array, b: Array) -> Array:
    """`(M,)` of `(3, M)` each."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def squared(a: Array) -> Array:
    return dot(a, a)
