# SPDX-License-Identifier: Apache-2.0
"""Segmenting where the liver is, and further where it ends only at the edge of what was searched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box
from liver_seg_ros.inference.liver_place import LiverPlace
from liver_seg_ros.inference.postprocessing import largest_liver
from liver_seg_ros.labels import LIVER, TUMOR

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
    label: Callable[[Box, bool], Labels],
    clean: Callable[[Labels, LiverPlace], Labels],
    further: bool = True,
) -> Looked:
    """Find the liver at `place`, and further while it reaches the edge of that, for `MOST_ROUNDS` at most.

    The tip of a lobe tapers, while another organ that was taken for liver goes on: a round that finds more than the one
    before it is taken back, and was the last.

    Args:
        place: where to look first.
        label: of a box of the CT, and whether that is further than at first: its labels, `(K, J, I)`.
        clean: of labels of a place's box that count there: those that are anatomy.
        further: False where the liver is the one that the place was made around, and so reaches no further.
    """
    seen = label(place.box, False)
    labels = clean(_counting(seen, place), place)
    if not further:
        return Looked(labels, place, 0.0, False)
    touched = place.touched_by(_organ(labels))
    if not touched.any() or place.margin_mm <= 0:
        return Looked(labels, place, 0.0, bool(touched.any()))
    organ_voxels, gained = np.count_nonzero(largest_liver(_counting(seen, place))), None
    rounds = 0
    while touched.any() and rounds < MOST_ROUNDS:
        wider, larger = _further(place, seen, touched, label)
        organ = largest_liver(_counting(larger, wider))
        more = np.count_nonzero(organ) - organ_voxels
        if gained is not None and more > gained:
            break
        organ_voxels, gained, rounds = organ_voxels + more, more, rounds + 1
        place, seen, touched = wider, larger, wider.touched_by(organ)
    labels = clean(_counting(seen, place), place)
    return Looked(labels, place, rounds * place.margin_mm / 2, bool(touched.any()))


def _further(
    place: LiverPlace, seen: Labels, touched: NDArray[np.bool_], label: Callable[[Box, bool], Labels]
) -> tuple[LiverPlace, Labels]:
    """The place widened about what was `touched`, and the labels of its box, of which `seen` are known."""
    wider = place.widened(touched)
    larger = np.zeros(wider.box.size[::-1], np.uint8)
    unseen = wider.unseen(place.box)
    if unseen is not None:
        larger[_in(wider.box, unseen)] = label(unseen, True)
    larger[_in(wider.box, place.box)] = seen  # what was seen first had more around it
    return wider, larger


def _counting(seen: Labels, place: LiverPlace) -> Labels:
    """`seen` `(K, J, I)` of the place's box without what is not near."""
    counting = np.empty_like(seen)
    for k, near in enumerate(place.near_slices()):
        np.multiply(seen[k], near, out=counting[k])
    return counting


def _organ(labels: Labels) -> NDArray[np.bool_]:
    """Vessels leave the liver; it is no sign of anything where they end."""
    organ: NDArray[np.bool_] = (labels == LIVER.value) | (labels == TUMOR.value)
    return organ


def _in(outer: Box, inner: Box) -> tuple[slice, slice, slice]:
    """The index of `inner` in an array of `outer`, both on one grid."""
    i, j, k = (slice(a - o, b - o) for a, b, o in zip(inner.start, inner.stop, outer.start, strict=True))
    return k, j, i
