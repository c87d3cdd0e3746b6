# SPDX-License-Identifier: Apache-2.0
"""Segmenting where the liver is, and further where it ends only at the edge of what was searched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box
from liver_seg_ros.inference.liver_place import LiverPlace
from liver_seg_ros.inference.postprocessing import Organ
from liver_seg_ros.inference.region import Region

#: How often it is looked further, each time by half the place's margin, before it is left at that.
MOST_ROUNDS = 4

Labels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Looked:
    """What was found, and where.

    Attributes:
        labels: `(K, J, I)` of `place.box`, clean.
        place: where was looked in the end.
        further_mm: how much further than at first.
        cut_off: whether the liver still ends at the edge of that.
    """

    labels: Labels
    place: LiverPlace
    further_mm: float
    cut_off: bool


def look(
    place: LiverPlace,
    label: Callable[[Region, bool], Labels],
    find_organ: Callable[[Labels, LiverPlace], Organ],
    grow: Callable[[Organ, Labels, Region], Organ | None],
    clean: Callable[[Organ, LiverPlace], Labels],
    further: bool = True,
) -> Looked:
    """Find the liver at `place`, and further while it reaches the edge of that, for `MOST_ROUNDS` at most.

    The tip of a lobe tapers, while another organ that was taken for liver goes on: a round that finds more than the one
    before it is taken back, and was the last.

    Args:
        place: where to look first.
        label: of a region of the CT, and whether that is further than at first: the labels `(K, J, I)` of its box, 0
            beyond it. What a place has seen at first is not asked for again.
        find_organ: of the labels of a place's box: where the liver is.
        grow: of an organ found so, the labels of its box, and what counts from now on too: what `find_organ` would
            find, or None where it has to look.
        clean: of the organ in a place's box: its labels that are anatomy.
        further: False where the liver is the one that the place was made around, and so reaches no further.
    """
    seen = label(place.seen, False)
    organ = find_organ(_near(seen, place), place)
    touched = place.touched_by(organ.mask) if further else np.zeros_like(place.coarse_near)
    rounds, voxels, gained = 0, np.count_nonzero(organ.mask), None
    while touched.any() and rounds < MOST_ROUNDS and place.margin_mm > 0:
        wider, seen = _further(place, seen, touched, label)
        grown = grow(organ, seen, wider.newly_near(place)) if wider.box == place.box else None
        larger = grown or find_organ(_near(seen, wider), wider)
        more = np.count_nonzero(larger.mask) - voxels
        if gained is not None and more > gained:
            break
        place, organ, rounds, voxels, gained = wider, larger, rounds + 1, voxels + more, more
        touched = place.touched_by(organ.mask)
    return Looked(clean(organ, place), place, rounds * place.margin_mm / 2, bool(touched.any()))


def _further(
    place: LiverPlace, seen: Labels, touched: NDArray[np.bool_], label: Callable[[Region, bool], Labels]
) -> tuple[LiverPlace, Labels]:
    """The place widened about what was `touched`, and the labels of its box, of which `seen` are known."""
    wider = place.widened(touched)
    larger = np.zeros(wider.box.size[::-1], np.uint8)
    larger[_in(wider.box, place.box)] = seen
    unseen = wider.beyond(place)
    if unseen is not None:
        larger[_in(wider.box, unseen.box)] |= label(unseen, True)  # no voxel is in both
    return wider, larger


def _near(seen: Labels, place: LiverPlace) -> Labels:
    """The labels `(K, J, I)` of a place's box, 0 where nothing counts."""
    near = np.empty_like(seen)
    for k, inside in enumerate(place.near.slices()):
        np.multiply(seen[k], inside, out=near[k])
    return near


def _in(outer: Box, inner: Box) -> tuple[slice, slice, slice]:
    """The index of `inner` in an array of `outer`, both on one grid."""
    i, j, k = (slice(a - o, b - o) for a, b, o in zip(inner.start, inner.stop, outer.start, strict=True))
    return k, j, i
