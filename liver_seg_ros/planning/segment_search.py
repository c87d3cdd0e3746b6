# SPDX-License-Identifier: Apache-2.0
"""The smallest signed distance to a surface along many segments at once, by branch and bound on exact distances.

Segments that go into the surface are searched where they are inside, the others along all of them. Between two ends of
known distance no value of an interval of length L lies below

- outside: the root of (1 - f) da^2 + f db^2 - f (1 - f) L^2 at any fraction f, because d(p)^2 - |p|^2 is concave;
- inside: minus the distance to the nearer one of the two surface points that are nearest to the ends.

An interval that cannot hold anything better than what was found, by more than the tolerance, is done with. Any other
becomes two where its bound is lowest. Outside, lower bounds are looked up first and leave a small part of a segment;
there distances are asked for.
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

#: Intervals outside that may hold something better are looked up in so many pieces before their ends are asked for.
PIECES = 4


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
    found = _Found(surface, starts, stops, tolerance_mm, enough_mm)
    within = _inside(found)
    while len(within.segment):
        within = _refined_inside(found, within)
    without = _outside(found, lower_bound_squared, step_mm)
    while len(without.segment):
        without = _refined_outside(found, without)
    return found.value_mm, found.points(np.arange(len(starts)), found.along_mm).T


class _Found:
    """What is known of each segment: `value_mm` `(N,)`, the smallest value found so far, at `along_mm` `(N,)`."""

    def __init__(
        self, surface: SurfaceQueries, starts: Array, stops: Array, tolerance_mm: float, enough_mm: float
    ) -> None:
        self.surface = surface
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

    def improve(self, segment: Ids, value_mm: Array, along_mm: Array) -> None:
        better = np.flatnonzero(value_mm < self.value_mm[segment])
        best = better[np.argsort(-value_mm[better], kind="stable")]  # of several for a segment the smallest comes last
        self.value_mm[segment[best]] = value_mm[best]
        self.along_mm[segment[best]] = along_mm[best]

    def may_be_better(self, segment: Ids, lowest_mm: Array) -> Mask:
        """Which of the parts of these segments may hold something that is wanted and better than what was found."""
        value_mm = self.value_mm[segment]
        return (lowest_mm < value_mm - self.tolerance_mm) & (value_mm >= self.enough_mm)


@dataclass(frozen=True, eq=False)
class _Inside:
    """Parts of segments inside the surface; the axis of length 2 is their two ends.

    Attributes:
        segment: `(M,)` number of the segment.
        along_mm: `(2, M)` from the segment's start.
        nearest_mm: `(2, 3, M)` nearest point of the surface.
    """

    segment: Ids
    along_mm: Array
    nearest_mm: Array


def _inside(found: _Found) -> _Inside:
    """The parts of segments between going in and coming out; the ends of segments that are inside are asked for."""
    crossings, count = found.crossings, len(found.length_mm)
    found.improve(crossings.segment, np.zeros(len(crossings.segment)), crossings.along_mm)
    begins = np.flatnonzero(crossings.starts_inside)
    odd = np.bincount(crossings.segment, minlength=count) % 2 == 1
    ends = np.flatnonzero(crossings.starts_inside ^ odd)
    segment = np.concatenate([crossings.segment, begins, ends])
    along_mm = np.concatenate([crossings.along_mm, np.zeros(len(begins)), found.length_mm[ends]])
    inside = np.arange(len(segment)) >= len(crossings.segment)
    nearest_mm = found.points(segment, along_mm)
    asked = np.flatnonzero(inside & (found.value_mm[segment] >= found.enough_mm))
    if len(asked):
        depth_mm, nearest_mm[:, asked] = found.ask(segment[asked], along_mm[asked])
        found.improve(segment[asked], -depth_mm, along_mm[asked])
    order = np.lexsort((inside & (along_mm > 0), along_mm, segment))  # going in and out alternate
    segment, along_mm, nearest_mm = segment[order], along_mm[order], nearest_mm[:, order]
    return _Inside(
        segment[::2], np.stack([along_mm[::2], along_mm[1::2]]), np.stack([nearest_mm[:, ::2], nearest_mm[:, 1::2]])
    )


def _refined_inside(found: _Found, parts: _Inside) -> _Inside:
    """The halves of those parts that may hold something better."""
    depth_mm, fraction = _deepest(found, parts)
    hopeful = np.flatnonzero(found.may_be_better(parts.segment, -depth_mm))
    segment, (begin, end) = parts.segment[hopeful], parts.along_mm[:, hopeful]
    if not len(segment):
        return _Inside(segment, parts.along_mm[:, hopeful], parts.nearest_mm[:, :, hopeful])
    middle = begin + fraction[hopeful].clip(LEAST_SHARE, 1 - LEAST_SHARE) * (end - begin)
    depth_mm, nearest_mm = found.ask(segment, middle)
    found.improve(segment, -depth_mm, middle)
    first, last = parts.nearest_mm[:, :, hopeful]
    return _Inside(
        np.tile(segment, 2),
        np.stack([np.concatenate([begin, middle]), np.concatenate([middle, end])]),
        np.stack([np.concatenate([first, nearest_mm], axis=1), np.concatenate([nearest_mm, last], axis=1)]),
    )


def _deepest(found: _Found, parts: _Inside) -> tuple[Array, Array]:
    """The maximum of the distance to the nearer of two surface points along each part, and its fraction.

    Both distances are convex along the part: it is at an end, or where they are equal.
    """
    begin, end = (found.points(parts.segment, parts.along_mm[n]) for n in (0, 1))
    first, last = parts.nearest_mm
    axis, gap = end - begin, last - first
    slope = _dot(axis, gap)
    offset = _dot((first + last) / 2 - begin, gap)
    f = np.divide(offset, slope, out=np.full(len(slope), 0.5), where=slope > 1e-12).clip(0, 1)
    equal = begin + f * axis
    depth_2 = np.minimum(_squared(equal - first), _squared(equal - last))
    return np.sqrt(np.maximum(depth_2, np.maximum(_squared(begin - first), _squared(end - last)))), f


@dataclass(frozen=True, eq=False)
class _Outside:
    """Parts of segments outside the surface.

    Attributes:
        segment: `(M,)` number of the segment.
        along_mm: `(2, M)` its ends, from the segment's start.
        squared_mm2: `(2, M)` squared distances there, or what they are not below.
    """

    segment: Ids
    along_mm: Array
    squared_mm2: Array

    def lowest(self) -> tuple[Array, Array]:
        """`(M,)` the minimum over f in [0, 1] of the bound in the module's docstring, and its f."""
        begin, end = self.squared_mm2
        length_2 = (self.along_mm[1] - self.along_mm[0]) ** 2
        f = (0.5 + (begin - end) / (2 * length_2).clip(min=1e-18)).clip(0, 1)
        return np.sqrt((begin + f * (end - begin - (1 - f) * length_2)).clip(min=0)), f

    def of(self, chosen: Ids) -> _Outside:
        return _Outside(self.segment[chosen], self.along_mm[:, chosen], self.squared_mm2[:, chosen])

    def hopeful(self, found: _Found) -> Ids:
        """Which of them may hold something better."""
        return np.flatnonzero(found.may_be_better(self.segment, self.lowest()[0]))


def _outside(found: _Found, lower_bound_squared: Callable[[Array], Array], step_mm: float) -> _Outside:
    """What lower bounds leave of the segments that are outside, with distances at all ends."""
    crossings = found.crossings
    outside = ~crossings.starts_inside
    outside[crossings.segment] = False
    chosen = np.flatnonzero(outside)
    count = np.maximum(1, np.ceil(found.length_mm[chosen] / step_mm)).astype(np.intp)
    last = np.cumsum(count + 1) - 1
    segment = np.repeat(chosen, count + 1)
    number = (np.arange(len(segment)) - np.repeat(last - count, count + 1)).astype(np.float64)
    along_mm: Array = number * np.repeat(found.length_mm[chosen] / count, count + 1)
    bound_mm2 = lower_bound_squared(found.points(segment, along_mm).T)
    is_begin = np.ones(len(segment), bool)
    is_begin[last] = False
    begin = np.flatnonzero(is_begin)
    ends = np.stack([begin, begin + 1])
    parts = _Outside(segment[begin], along_mm[ends], bound_mm2[ends])
    if len(parts.segment):
        _ask_lowest(found, parts)
    parts = parts.of(parts.hopeful(found))
    parts = _trimmed(found, parts, lower_bound_squared)
    place, place_of = np.unique(
        np.stack([np.tile(parts.segment, 2), parts.along_mm.reshape(-1)]), axis=1, return_inverse=True
    )
    squared = _ask_outside(found, place[0].astype(np.intp), place[1]) ** 2
    return _Outside(parts.segment, parts.along_mm, squared[place_of].reshape(2, -1))


def _ask_lowest(found: _Found, parts: _Outside) -> None:
    """Ask for the most promising place of each segment."""
    lowest_mm, fraction = parts.lowest()
    order = np.argsort(-lowest_mm, kind="stable")
    best = np.full(len(found.length_mm), -1)
    best[parts.segment[order]] = order  # of several for a segment the lowest comes last
    best = best[best >= 0]
    begin, end = parts.along_mm[:, best]
    _ask_outside(found, parts.segment[best], begin + fraction[best] * (end - begin))


def _trimmed(found: _Found, parts: _Outside, lower_bound_squared: Callable[[Array], Array]) -> _Outside:
    """What is left of parts, which are in order, where lower bounds are looked up at `PIECES` - 1 places of each."""
    begin, end = parts.along_mm
    (begin_2, end_2), length = parts.squared_mm2, end - begin
    f = np.arange(1, PIECES)[:, None] / PIECES
    along_mm = begin + f * length
    places = found.points(np.tile(parts.segment, PIECES - 1), along_mm.reshape(-1))
    bound_mm2 = lower_bound_squared(places.T).reshape(along_mm.shape)
    bound_mm2 = np.maximum(bound_mm2, begin_2 + f * (end_2 - begin_2) - f * (1 - f) * length**2)
    along_mm = np.concatenate([begin[None], along_mm, end[None]]).T
    bound_mm2 = np.concatenate([begin_2[None], bound_mm2, end_2[None]]).T  # (M, PIECES + 1)

    def ends(of_all: Array) -> Array:
        return np.stack([of_all[:, :-1].reshape(-1), of_all[:, 1:].reshape(-1)])

    pieces = _Outside(np.repeat(parts.segment, PIECES), ends(along_mm), ends(bound_mm2))
    pieces = pieces.of(pieces.hopeful(found))
    # Those that follow each other are one part again.
    follows = (pieces.segment[1:] == pieces.segment[:-1]) & (pieces.along_mm[0, 1:] == pieces.along_mm[1, :-1])
    first = np.flatnonzero(np.concatenate([[True], ~follows])[: len(pieces.segment)])
    last = np.flatnonzero(np.concatenate([~follows, [True]])[: len(pieces.segment)])
    return _Outside(
        pieces.segment[first],
        np.stack([pieces.along_mm[0, first], pieces.along_mm[1, last]]),
        np.stack([pieces.squared_mm2[0, first], pieces.squared_mm2[1, last]]),
    )


def _refined_outside(found: _Found, parts: _Outside) -> _Outside:
    """The halves of those parts that may hold something better."""
    lowest_mm, fraction = parts.lowest()
    hopeful = np.flatnonzero(found.may_be_better(parts.segment, lowest_mm))
    segment, (begin, end), (begin_2, end_2) = (
        parts.segment[hopeful],
        parts.along_mm[:, hopeful],
        parts.squared_mm2[:, hopeful],
    )
    if not len(segment):
        return parts.of(hopeful)
    middle = begin + fraction[hopeful].clip(LEAST_SHARE, 1 - LEAST_SHARE) * (end - begin)
    middle_2 = _ask_outside(found, segment, middle) ** 2

    def halves(begin: Array, middle: Array, end: Array) -> Array:
        return np.stack([np.concatenate([begin, middle]), np.concatenate([middle, end])])

    return _Outside(np.tile(segment, 2), halves(begin, middle, end), halves(begin_2, middle_2, end_2))


def _ask_outside(found: _Found, segment: Ids, along_mm: Array) -> Array:
    """`(A,)` exact distances of these places, which may improve what was found."""
    distance_mm, nearest_mm = found.ask(segment, along_mm)
    found.improve(segment, distance_mm, along_mm)
    # The surface point found may be nearer to another place of the segment.
    foot = _dot(nearest_mm - found.starts_mm[:, segment], found.direction[:, segment]).clip(0, found.length_mm[segment])
    found.improve(segment, np.sqrt(_squared(found.points(segment, foot) - nearest_mm)), foot)
    return distance_mm


def _dot(a: Array, b: Array) -> Array:
    """`(M,)` of `(3, M)` each."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _squared(a: Array) -> Array:
    return _dot(a, a)
