# SPDX-License-Identifier: Apache-2.0
"""Which vessels of a tree needles go through.

A vessel runs straight from a node's parent to the node and is as wide as the node says; a needle that comes nearer to
that line than both radii together goes through it. Comparing all needles with all vessels would take seconds, so
vessels that follow each other are first compared together, by the ball around them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.reconstruction.meshes.surface_queries import directions
from liver_seg_ros.vessel_tree import VesselTree

Array = NDArray[np.float64]
Ids = NDArray[np.intp]

#: Vessels in one ball.
BLOCK = 4

#: Needles that are compared at once: what fits the cache.
CHUNK = 160


@dataclass(frozen=True, eq=False)
class VesselCrossings:
    """Where needles go through vessels, ordered by needle and along it.

    One crossing for each time that a needle goes through a branch; at a fork, one for each branch that it touches.

    Attributes:
        needle: `(C,)` number of the needle.
        branch: `(C,)` number of the branch in its tree.
        radius_mm: `(C,)` of the vessel there.
        along_mm: `(C,)` distance from the needle's entry to the place where its axis is nearest to the vessel's.
        at_mm: `(C, 3)` that place, LPS.
    """

    needle: Ids
    branch: Ids
    radius_mm: Array
    along_mm: Array
    at_mm: Array


def vessel_crossings(
    tree: VesselTree, entries_mm: Array, targets_mm: Array, needle_radius_mm: float, least_radius_mm: float
) -> VesselCrossings:
    """The crossings of needles between `(N, 3)` LPS points with vessels of at least `least_radius_mm`."""
    direction, length = directions(entries_mm, targets_mm)
    node = np.flatnonzero((tree.parent >= 0) & (tree.radius_mm >= least_radius_mm))
    node = node[np.lexsort((node, tree.branch[node]))]  # along each branch
    vessels = _Vessels(tree.points_mm[tree.parent[node]], tree.points_mm[node], tree.radius_mm[node])
    needles, places, alongs, distances = [], [], [], []
    for first in range(0, len(entries_mm) if len(node) else 0, CHUNK):
        part = slice(first, first + CHUNK)
        needle, vessel = vessels.near(entries_mm[part], direction[part], length[part], needle_radius_mm)
        along, distance = vessels.nearest(
            vessel, entries_mm[part][needle], direction[part][needle], length[part][needle]
        )
        touched = distance < vessels.radius_mm[vessel] + needle_radius_mm
        needles.append(needle[touched] + first)
        places.append(vessel[touched])
        alongs.append(along[touched])
        distances.append(distance[touched])
    needle, place = _joined(needles, np.intp), _joined(places, np.intp)
    along, distance = _joined(alongs, np.float64), _joined(distances, np.float64)

    # Of vessels of one branch that follow each other, the one whose axis is nearest stands for the crossing.
    order = np.lexsort((place, needle))
    needle, place, along, distance = needle[order], place[order], along[order], distance[order]
    branch = tree.branch[node[place]]
    follows = (
        (np.diff(needle, prepend=-1) == 0) & (np.diff(branch, prepend=-1) == 0) & (np.diff(place, prepend=-1) == 1)
    )
    run = np.cumsum(~follows)
    nearest = np.lexsort((distance, run))
    nearest = nearest[np.diff(run[nearest], prepend=0) > 0]
    nearest = nearest[np.lexsort((along[nearest], needle[nearest]))]
    needle, along = needle[nearest], along[nearest]
    at_mm = entries_mm[needle] + along[:, None] * direction[needle]
    return VesselCrossings(needle, branch[nearest], tree.radius_mm[node[place[nearest]]], along, at_mm)


class _Vessels:
    """`(V,)` straight vessels, in balls of up to `BLOCK` that follow each other."""

    def __init__(self, begins_mm: Array, ends_mm: Array, radius_mm: Array) -> None:
        self.begins_mm, self.radius_mm = begins_mm, radius_mm
        self.axis, self.length = directions(begins_mm, ends_mm)
        first = np.arange(0, len(radius_mm), BLOCK)
        self._members = np.minimum(first[:, None] + np.arange(BLOCK), len(radius_mm) - 1)  # (B, BLOCK)
        points = np.concatenate([begins_mm[self._members], ends_mm[self._members]], axis=1)
        self._center = points.mean(axis=1)
        self._reach = np.linalg.norm(points - self._center[:, None], axis=2).max(axis=1)
        self._reach += radius_mm[self._members].max(axis=1)

    def near(self, entries: Array, direction: Array, length: Array, radius_mm: float) -> tuple[Ids, Ids]:
        """Pairs of needle and vessel that may touch, each once."""
        origin = self._center.mean(axis=0)  # near the coordinates, so that squares lose no digits
        start, center = (entries - origin).astype(np.float32), (self._center - origin).astype(np.float32)
        along = (
            direction.astype(np.float32) @ center.T
            - np.einsum("ni,ni->n", start, direction).astype(np.float32)[:, None]
        )
        gap = (
            np.einsum("bi,bi->b", center, center)
            - 2 * (start @ center.T)
            + np.einsum("ni,ni->n", start, start)[:, None]
        )
        clipped = along.clip(0, length.astype(np.float32)[:, None])
        gap += clipped * (clipped - 2 * along)
        needle, block = np.nonzero(gap <= np.float32(self._reach + radius_mm + 0.1) ** 2)
        pair_needle = np.repeat(needle, BLOCK)
        vessel = self._members[block].reshape(-1)
        once = np.tile(np.arange(BLOCK), len(block)) + np.repeat(block, BLOCK) * BLOCK < len(self.radius_mm)
        return pair_needle[once], vessel[once]

    def nearest(self, vessel: Ids, entries: Array, direction: Array, length: Array) -> tuple[Array, Array]:
        """`(P,)` places along needles nearest to the axes of vessels, and distances there, of `P` pairs.

        Two segments (Ericson 2005, Real-Time Collision Detection, section 5.1.9).
        """
        between = entries - self.begins_mm[vessel]
        cosine = np.einsum("pi,pi->p", direction, self.axis[vessel])
        on_needle = np.einsum("pi,pi->p", direction, between)
        on_vessel = np.einsum("pi,pi->p", self.axis[vessel], between)
        sine_squared = 1 - cosine**2
        # Where both are parallel any place will do to begin with.
        along = np.divide(
            cosine * on_vessel - on_needle, sine_squared, out=np.zeros_like(cosine), where=sine_squared > 1e-12
        ).clip(0, length)
        place = (on_vessel + along * cosine).clip(0, self.length[vessel])
        along = (place * cosine - on_needle).clip(0, length)
        gap = between + along[:, None] * direction - place[:, None] * self.axis[vessel]
        return along, np.linalg.norm(gap, axis=1)


def _joined(parts: list[NDArray], dtype: type) -> NDArray:
    return np.concatenate([np.empty(0, dtype), *parts])
