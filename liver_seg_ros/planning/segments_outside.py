# SPDX-License-Identifier: Apache-2.0
"""The parts of segments that lie outside a surface, and how near to it they may come; see `segment_search`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from liver_seg_ros.planning.segment_minimum import LEAST_SHARE, Array, Ids, Minimum, dot, squared

#: Intervals outside that may hold something better are looked up in so many pieces before their ends are asked for.
PIECES = 4


@dataclass(frozen=True, eq=False)
class Outside:
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

    def of(self, chosen: Ids) -> Outside:
        return Outside(self.segment[chosen], self.along_mm[:, chosen], self.squared_mm2[:, chosen])

    def hopeful(self, found: Minimum) -> Ids:
        """Which of them may hold something better."""
        return np.flatnonzero(found.may_be_better(self.segment, self.lowest()[0]))


def parts_outside(found: Minimum, lower_bound_squared: Callable[[Array], Array], step_mm: float) -> Outside:
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
    parts = Outside(segment[begin], along_mm[ends], bound_mm2[ends])
    if len(parts.segment):
        _ask_lowest(found, parts)
    parts = parts.of(parts.hopeful(found))
    parts = _trimmed(found, parts, lower_bound_squared)
    place, place_of = np.unique(
        np.stack([np.tile(parts.segment, 2), parts.along_mm.reshape(-1)]), axis=1, return_inverse=True
    )
    place_mm2 = _ask_outside(found, place[0].astype(np.intp), place[1]) ** 2
    return Outside(parts.segment, parts.along_mm, place_mm2[place_of].reshape(2, -1))


def _ask_lowest(found: Minimum, parts: Outside) -> None:
    """Ask for the most promising place of each segment."""
    lowest_mm, fraction = parts.lowest()
    order = np.argsort(-lowest_mm, kind="stable")
    best = np.full(len(found.length_mm), -1)
    best[parts.segment[order]] = order  # of several for a segment the lowest comes last
    best = best[best >= 0]
    begin, end = parts.along_mm[:, best]
    _ask_outside(found, parts.segment[best], begin + fraction[best] * (end - begin))


def _trimmed(found: Minimum, parts: Outside, lower_bound_squared: Callable[[Array], Array]) -> Outside:
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

    pieces = Outside(np.repeat(parts.segment, PIECES), ends(along_mm), ends(bound_mm2))
    pieces = pieces.of(pieces.hopeful(found))
    # Those that follow each other are one part again.
    follows = (pieces.segment[1:] == pieces.segment[:-1]) & (pieces.along_mm[0, 1:] == pieces.along_mm[1, :-1])
    first = np.flatnonzero(np.concatenate([[True], ~follows])[: len(pieces.segment)])
    last = np.flatnonzero(np.concatenate([~follows, [True]])[: len(pieces.segment)])
    return Outside(
        pieces.segment[first],
        np.stack([pieces.along_mm[0, first], pieces.along_mm[1, last]]),
        np.stack([pieces.squared_mm2[0, first], pieces.squared_mm2[1, last]]),
    )


def refined_outside(found: Minimum, parts: Outside) -> Outside:
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

    return Outside(np.tile(segment, 2), halves(begin, middle, end), halves(begin_2, middle_2, end_2))


def _ask_outside(found: Minimum, segment: Ids, along_mm: Array) -> Array:
    """`(A,)` exact distances of these places, which may improve what was found."""
    distance_mm, nearest_mm = found.ask(segment, along_mm)
    found.improve(segment, distance_mm, along_mm)
    # The surface point found may be nearer to another place of the segment.
    foot = dot(nearest_mm - found.starts_mm[:, segment], found.direction[:, segment]).clip(0, found.length_mm[segment])
    found.improve(segment, np.sqrt(squared(found.points(segment, foot) - nearest_mm)), foot)
    return distance_mm
