# SPDX-License-Identifier: Apache-2.0
"""The smallest signed distance to a surface along many segments at once, by branch and bound on exact distances.

A segment is cut where it goes through the surface, so that every interval lies outside or inside. Between two ends of
known distance no value of an interval of length L lies below

- outside: the root of (1 - f) da^2 + f db^2 - f (1 - f) L^2 at any fraction f, because d(p)^2 - |p|^2 is concave;
- inside: minus the distance to the nearer one of the two surface points that are nearest to the ends.

An interval that cannot hold anything better than what was found, by more than the tolerance, is done with. Of any other
the distance is asked for where its bound is lowest, and it becomes two. As both bounds fall short to second order only,
two or three questions suffice for most segments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries, directions

Array = NDArray[np.float64]
Ids = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: A cut keeps this share of an interval's length from its ends, so that intervals shrink in any case.
LEAST_SHARE = 0.1


def smallest_along(
    surface: SurfaceQueries,
    starts: Array,
    stops: Array,
    lower_bound_squared: Callable[[Array], Array],
    step_mm: float,
    tolerance_mm: float,
    enough_mm: float = -np.inf,
) -> tuple[Array, Array]:
    """`(N,)` smallest signed distances along segments, at most the tolerance too large, and `(N, 3)` where they are.

    Args:
        starts, stops: `(N, 3)` LPS points in mm.
        lower_bound_squared: of `(M, 3)` points what squared distances are not below, mm^2; asked every `step_mm`.
        enough_mm: where a distance below this is found no smaller one is looked for: it is what comes back.
    """
    search = _Search(surface, starts, stops, tolerance_mm, enough_mm)
    intervals = search.first_intervals(lower_bound_squared, step_mm)
    while len(intervals.segment):
        intervals = search.refine(intervals)
    return search.value_mm, search.points(np.arange(len(starts)), search.along_mm)


@dataclass(frozen=True, eq=False)
class _Intervals:
    """Parts of segments; the second axis of length 2 is their two ends.

    Attributes:
        segment: `(M,)` number of the segment.
        inside: `(M,)` bool.
        along_mm: `(M, 2)` from the segment's start.
        distance_mm: `(M, 2)` unsigned distance to the surface, or a lower bound of it.
        nearest_mm: `(M, 2, 3)` nearest point of the surface; NaN with a lower bound.
    """

    segment: Ids
    inside: Mask
    along_mm: Array
    distance_mm: Array
    nearest_mm: Array

    def of(self, chosen: Mask) -> _Intervals:
        return _Intervals(
            self.segment[chosen], self.inside[chosen], self.along_mm[chosen], self.distance_mm[chosen],
            self.nearest_mm[chosen],
        )  # fmt: skip


class _Search:
    """What is known of each segment: `value_mm` `(N,)`, the smallest value found so far, at `along_mm` `(N,)`."""

    def __init__(
        self, surface: SurfaceQueries, starts: Array, stops: Array, tolerance_mm: float, enough_mm: float
    ) -> None:
        self._surface = surface
        self._starts, self._stops = starts, stops
        self._direction, self._length = directions(starts, stops)
        self._tolerance_mm, self._enough_mm = tolerance_mm, enough_mm
        self.value_mm = np.full(len(starts), np.inf)
        self.along_mm = np.zeros(len(starts))

    def points(self, segment: Ids, along_mm: Array) -> Array:
        return self._starts[segment] + along_mm[:, None] * self._direction[segment]

    def first_intervals(self, lower_bound_squared: Callable[[Array], Array], step_mm: float) -> _Intervals:
        """What lower bounds every `step_mm` leave of the segments, with distances at all ends."""
        segment, along_mm, on_surface, inside = self._cuts(step_mm)
        points = self.points(segment, along_mm)
        distance_mm = np.zeros(len(segment))
        distance_mm[~on_surface] = np.sqrt(lower_bound_squared(points[~on_surface]))
        nearest_mm = np.full((len(segment), 3), np.nan)
        nearest_mm[on_surface] = points[on_surface]
        self._improve(segment[on_surface], np.zeros(on_surface.sum()), along_mm[on_surface])

        # Asked first: the ends that lie inside, and the most promising place of segments that stay outside.
        crosses = np.zeros(len(self._starts), bool)
        crosses[segment[inside]] = True
        by_bound = np.lexsort((distance_mm, segment))
        best = by_bound[np.diff(segment[by_bound], prepend=-1) > 0]
        asked = inside & ~on_surface
        asked[best[~crosses[segment[best]]]] = True
        asked &= self._open(segment)
        ids = np.flatnonzero(asked)
        distance_mm[ids], nearest_mm[ids] = self._ask(segment[ids], along_mm[ids], inside[ids])

        first = np.flatnonzero(segment[1:] == segment[:-1])
        ends = np.stack([first, first + 1], axis=1)
        intervals = _Intervals(segment[first], inside[first], along_mm[ends], distance_mm[ends], nearest_mm[ends])
        hopeful = self._open(intervals.segment)
        hopeful[hopeful] = self._may_be_better(intervals.of(hopeful))[0]
        unknown = np.zeros(len(segment), bool)
        unknown[ends[hopeful]] = True
        ids = np.flatnonzero(unknown & np.isnan(nearest_mm[:, 0]))
        distance_mm[ids], nearest_mm[ids] = self._ask(segment[ids], along_mm[ids], inside[ids])
        ends = ends[hopeful]
        return _Intervals(segment[ends[:, 0]], inside[ends[:, 0]], along_mm[ends], distance_mm[ends], nearest_mm[ends])

    def refine(self, intervals: _Intervals) -> _Intervals:
        """The halves of those intervals that may hold something better."""
        intervals = intervals.of(self._open(intervals.segment))
        hopeful, fraction = self._may_be_better(intervals)
        intervals, fraction = intervals.of(hopeful), fraction[hopeful]
        begin, end = intervals.along_mm.T
        middle = begin + fraction * (end - begin)
        distance_mm, nearest_mm = self._ask(intervals.segment, middle, intervals.inside)

        def halves(at_ends: NDArray[np.float64], at_middle: NDArray[np.float64]) -> NDArray[np.float64]:
            a, b = at_ends[:, 0], at_ends[:, 1]
            return np.concatenate([np.stack([a, at_middle], axis=1), np.stack([at_middle, b], axis=1)])

        return _Intervals(
            np.tile(intervals.segment, 2), np.tile(intervals.inside, 2), halves(intervals.along_mm, middle),
            halves(intervals.distance_mm, distance_mm), halves(intervals.nearest_mm, nearest_mm),
        )  # fmt: skip

    def _cuts(self, step_mm: float) -> tuple[Ids, Array, Mask, Mask]:
        """Ordered places on the segments `(C,)`: number, place, if on the surface, if inside from there on.

        They are the ends, the crossings of the surface and, where outside, places at most `step_mm` apart.
        """
        count = np.maximum(1, np.ceil(self._length / step_mm)).astype(np.intp)
        first = np.cumsum(count + 1) - (count + 1)
        segment = np.repeat(np.arange(len(count)), count + 1)
        number = np.arange(len(segment)) - first[segment]
        is_end = (number == 0) | (number == count[segment])
        along_mm = self._length[segment] * number / count[segment]

        crossings = self._surface.crossings(self._starts, self._stops)
        segment = np.concatenate([segment, crossings.segment])
        along_mm = np.concatenate([along_mm, crossings.along_mm])
        on_surface = np.arange(len(segment)) >= len(is_end)
        is_end = np.concatenate([is_end, np.zeros(len(crossings.segment), bool)])
        order = np.lexsort((along_mm, segment))
        segment, along_mm, on_surface, is_end = segment[order], along_mm[order], on_surface[order], is_end[order]

        passed: Ids = np.cumsum(on_surface)
        begins = np.searchsorted(segment, np.arange(len(count)))
        passed_before: Ids = passed[begins] - on_surface[begins]
        inside = crossings.starts_inside[segment] ^ ((passed - passed_before[segment]) % 2 == 1)
        kept = on_surface | is_end | ~inside
        return segment[kept], along_mm[kept], on_surface[kept], inside[kept]

    def _ask(self, segment: Ids, along_mm: Array, inside: Mask) -> tuple[Array, Array]:
        """Exact distances `(A,)` and nearest surface points `(A, 3)` there, which may improve what was found."""
        distance_mm, nearest_mm = self._surface.nearest(self.points(segment, along_mm))
        self._improve(segment, np.where(inside, -distance_mm, distance_mm), along_mm)
        # The surface point found may be nearer to another place of the segment.
        outside = ~inside
        segment, nearest = segment[outside], nearest_mm[outside]
        foot = np.einsum("ai,ai->a", nearest - self._starts[segment], self._direction[segment])
        foot = foot.clip(0, self._length[segment])
        self._improve(segment, np.linalg.norm(self.points(segment, foot) - nearest, axis=1), foot)
        return distance_mm, nearest_mm

    def _improve(self, segment: Ids, value_mm: Array, along_mm: Array) -> None:
        by_value = np.lexsort((value_mm, segment))
        best = by_value[np.diff(segment[by_value], prepend=-1) > 0]
        best = best[value_mm[best] < self.value_mm[segment[best]]]
        self.value_mm[segment[best]] = value_mm[best]
        self.along_mm[segment[best]] = along_mm[best]

    def _open(self, segment: Ids) -> Mask:
        """Of which segments more is to be known."""
        return np.asarray(self.value_mm[segment] >= self._enough_mm)

    def _may_be_better(self, intervals: _Intervals) -> tuple[Mask, Array]:
        """`(M,)` which intervals may hold something better than was found, and where each is to be cut."""
        lowest_mm, fraction = self._lowest(intervals)
        return lowest_mm < self.value_mm[intervals.segment] - self._tolerance_mm, fraction

    def _lowest(self, intervals: _Intervals) -> tuple[Array, Array]:
        """`(M,)` bounds of the signed distance in each interval, and the fraction of its length to cut it at."""
        length_mm = (intervals.along_mm[:, 1] - intervals.along_mm[:, 0]).clip(min=1e-9)
        lowest_mm, fraction = _lowest_outside(intervals.distance_mm, length_mm)
        inside = np.flatnonzero(intervals.inside)
        if inside.size:
            ends = np.stack(
                [self.points(intervals.segment[inside], intervals.along_mm[inside, end]) for end in (0, 1)], axis=1
            )
            depth_mm, fraction[inside] = _deepest_inside(ends, intervals.nearest_mm[inside])
            lowest_mm[inside] = -depth_mm
        return lowest_mm, fraction.clip(LEAST_SHARE, 1 - LEAST_SHARE)


def _lowest_outside(distance_mm: Array, length_mm: Array) -> tuple[Array, Array]:
    """The minimum over f in [0, 1] of the bound in the module's docstring, and its f."""
    a, b = distance_mm.T**2
    l2 = length_mm**2
    f = (0.5 + (a - b) / (2 * l2)).clip(0, 1)
    return np.sqrt(((1 - f) * a + f * b - f * (1 - f) * l2).clip(min=0)), f


def _deepest_inside(ends: Array, nearest_mm: Array) -> tuple[Array, Array]:
    """The maximum of the distance to the nearer of two points `(M, 2, 3)` along segments `(M, 2, 3)`, and where.

    Both distances are convex along the segment: it is at an end, or where they are equal.
    """
    axis = ends[:, 1] - ends[:, 0]
    gap = nearest_mm[:, 1] - nearest_mm[:, 0]
    middle = nearest_mm.mean(axis=1)
    slope = np.einsum("mi,mi->m", axis, gap)
    offset = np.einsum("mi,mi->m", middle - ends[:, 0], gap)
    f = np.divide(offset, slope, out=np.full(len(slope), 0.5), where=slope > 1e-12).clip(0, 1)
    equal = ends[:, 0] + f[:, None] * axis
    depth = np.minimum(*(np.linalg.norm(equal - nearest_mm[:, end], axis=1) for end in (0, 1)))
    at_ends = np.linalg.norm(ends - nearest_mm, axis=2).max(axis=1)
    return np.maximum(depth, at_ends), f
