# SPDX-License-Identifier: Apache-2.0
"""The parts of segments that lie inside a surface, and how deep they may be there; see `segment_search`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liver_seg_ros.planning.segment_minimum import LEAST_SHARE, Array, Ids, Minimum, dot, squared


@dataclass(frozen=True, eq=False)
class Inside:
    """Parts of segments inside the surface; the axis of length 2 is their two ends.

    Attributes:
        segment: `(M,)` number of the segment.
        along_mm: `(2, M)` from the segment's start.
        nearest_mm: `(2, 3, M)` nearest point of the surface.
    """

    segment: Ids
    along_mm: Array
    nearest_mm: Array


def parts_inside(found: Minimum) -> Inside:
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
        depth_mm, nearest_mm[:, asked] = found.ask_inside(segment[asked], along_mm[asked], np.full(len(asked), np.inf))
        found.improve(segment[asked], -depth_mm, along_mm[asked])
    order = np.lexsort((inside & (along_mm > 0), along_mm, segment))  # going in and out alternate
    segment, along_mm, nearest_mm = segment[order], along_mm[order], nearest_mm[:, order]
    return Inside(
        segment[::2], np.stack([along_mm[::2], along_mm[1::2]]), np.stack([nearest_mm[:, ::2], nearest_mm[:, 1::2]])
    )


def refined_inside(found: Minimum, parts: Inside) -> Inside:
    """The halves of those parts that may hold something better."""
    depth_mm, fraction = _deepest(found, parts)
    hopeful = np.flatnonzero(found.may_be_better(parts.segment, -depth_mm))
    segment, (begin, end) = parts.segment[hopeful], parts.along_mm[:, hopeful]
    if not len(segment):
        return Inside(segment, parts.along_mm[:, hopeful], parts.nearest_mm[:, :, hopeful])
    middle = begin + fraction[hopeful].clip(LEAST_SHARE, 1 - LEAST_SHARE) * (end - begin)
    depth_mm, nearest_mm = found.ask_inside(segment, middle, depth_mm[hopeful])
    found.improve(segment, -depth_mm, middle)
    first, last = parts.nearest_mm[:, :, hopeful]
    return Inside(
        np.tile(segment, 2),
        np.stack([np.concatenate([begin, middle]), np.concatenate([middle, end])]),
        np.stack([np.concatenate([first, nearest_mm], axis=1), np.concatenate([nearest_mm, last], axis=1)]),
    )


def _deepest(found: Minimum, parts: Inside) -> tuple[Array, Array]:
    """The maximum of the distance to the nearer of two surface points along each part, and its fraction.

    Both distances are convex along the part: it is at an end, or where they are equal.
    """
    begin, end = (found.points(parts.segment, parts.along_mm[n]) for n in (0, 1))
    first, last = parts.nearest_mm
    axis, gap = end - begin, last - first
    slope = dot(axis, gap)
    offset = dot((first + last) / 2 - begin, gap)
    f = np.divide(offset, slope, out=np.full(len(slope), 0.5), where=slope > 1e-12).clip(0, 1)
    equal = begin + f * axis
    depth_2 = np.minimum(squared(equal - first), squared(equal - last))
    return np.sqrt(np.maximum(depth_2, np.maximum(squared(begin - first), squared(end - last)))), f
