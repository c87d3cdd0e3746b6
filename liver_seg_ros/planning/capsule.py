# SPDX-License-Identifier: Apache-2.0
"""Where needles go through the liver's capsule, and how much of them lies in the liver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries, directions
from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class CapsulePassage:
    """How `N` needles go through the surface of the liver; see `TrajectoryEvaluation`.

    Attributes:
        crossings: `(N,)` how often.
        length_inside_mm: `(N,)` of their axes.
        entry_angle_deg: `(N,)` where they first go in, NaN where they do not.
    """

    crossings: NDArray[np.intp]
    length_inside_mm: NDArray[np.float64]
    entry_angle_deg: NDArray[np.float64]

    __repr__ = short_repr


def capsule_passage(
    liver: SurfaceQueries | None, entries_mm: NDArray[np.float64], targets_mm: NDArray[np.float64]
) -> CapsulePassage:
    """The passages of needles between `(N, 3)` LPS points; without a liver there are none."""
    count = len(entries_mm)
    if liver is None:
        return CapsulePassage(np.zeros(count, np.intp), np.zeros(count), np.full(count, np.nan))
    direction, length_mm = directions(entries_mm, targets_mm)
    found = liver.crossings(entries_mm, targets_mm)
    crossings = np.bincount(found.segment, minlength=count)
    # Inside lies what is between going in and coming out: the sum of the latter's places less that of the former's.
    signed_mm = np.bincount(found.segment, np.where(found.inward, -found.along_mm, found.along_mm), minlength=count)
    ends_inside = found.starts_inside ^ (crossings % 2 == 1)
    length_inside_mm = signed_mm + np.where(ends_inside, length_mm, 0.0)

    angle_deg = np.full(count, np.nan)
    inward = np.flatnonzero(found.inward)
    first = inward[np.diff(found.segment[inward], prepend=-1) > 0]
    first = first[~found.starts_inside[found.segment[first]]]
    cosine = -np.einsum("ci,ci->c", direction[found.segment[first]], found.normal[first])
    angle_deg[found.segment[first]] = np.degrees(np.arccos(cosine.clip(-1, 1)))
    return CapsulePassage(crossings, length_inside_mm.clip(min=0), angle_deg)
