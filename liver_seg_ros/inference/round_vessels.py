# SPDX-License-Identifier: Apache-2.0
"""Lesions as bright as vessels, which a network takes for vessels, told from these by their shape.

A vessel is long, and goes on at its ends. A body among the vessels that is about as wide as long, with liver on nearly
all of its surface, is a lesion that takes up contrast: a hemangioma, a nodule, a metastasis with many vessels.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, pi

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bodies import ANY_NEIGHBOR
from liver_seg_ros.inference.neighborhood import both_ends, eroded
from liver_seg_ros.inference.reach import further_than
from liver_seg_ros.labels import BACKGROUND, TUMOR, VESSEL

#: Vessels are opened by a ball of this radius: what is no wider falls off, and a body is seen without its branches.
_RADIUS_MM = 3.0
#: A body of fewer mm, as a ball of its volume, may as well be where vessels meet; one of more is the widest vessel's
#: own middle, as a network knows so large a lesion.
_DIAMETERS_MM = 10.0, 25.0
#: How many times as long as wide a body may be: the longest by the shortest axis of an ellipsoid with its moments.
_MOST_ELONGATION = 1.75
#: Which share of what is next to a body may be vessels or tumors, where a vessel goes on, and which no liver at all.
_MOST_JOINED, _MOST_OUTSIDE = 0.12, 0.15


def lesions_among_vessels(labels: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """`labels` with those bodies of its vessels as tumors that are round and lie in the liver.

    Args:
        labels: `(K, J, I)`, not changed; of liver, tumors and vessels.
        geometry: their grid.

    Returns:
        `(K, J, I)`; the same array where there is no such body.
    """
    box = Box.around(labels == VESSEL.value)
    if box is None:
        return labels
    box = box.padded(geometry.voxels_over(_RADIUS_MM), geometry.size)
    inner, crop = labels[box.slices], geometry.crop(box)
    vessel = inner == VESSEL.value
    # Most vessels are thinner, which six looks tell; what they do not is asked for its distance.
    likely = vessel.copy()
    for axis, spacing_mm in enumerate(geometry.spacing_mm[::-1]):
        likely &= both_ends(vessel, floor(_RADIUS_MM / spacing_mm), axis)
    deep = further_than(~vessel, likely, crop, _RADIUS_MM)
    found = labels
    cores = cc3d.connected_components(deep, connectivity=ANY_NEIGHBOR)
    reach = geometry.voxels_over(_RADIUS_MM + max(geometry.spacing_mm))
    for core, place in _boxes(cores, deep):
        around = place.padded(reach, crop.size)
        body = _opened(cores[around.slices] == core, vessel[around.slices], geometry)
        if _is_lesion(body, inner[around.slices], geometry):
            found = labels.copy() if found is labels else found
            found[box.slices][around.slices][body] = TUMOR.value
    return found


def _boxes(bodies: NDArray[np.unsignedinteger], mask: NDArray[np.bool_]) -> Iterator[tuple[int, Box]]:
    """Each number of `bodies` `(K, J, I)` in `mask`, and the box around it; for masks of few voxels."""
    places = np.flatnonzero(mask)
    if not len(places):
        return
    numbers = bodies.reshape(-1)[places]
    order = np.argsort(numbers, kind="stable")
    found, first = np.unique(numbers[order], return_index=True)
    k, j, i = (axis[order] for axis in np.unravel_index(places, bodies.shape))
    starts = [np.minimum.reduceat(n, first).tolist() for n in (i, j, k)]
    stops = [(np.maximum.reduceat(n, first) + 1).tolist() for n in (i, j, k)]
    for number, start, stop in zip(found.tolist(), zip(*starts, strict=True), zip(*stops, strict=True), strict=True):
        yield number, Box(start, stop)


def _opened(core: NDArray[np.bool_], vessel: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: the vessels that the ball covers with its center in `core`."""
    covered: NDArray[np.bool_] = edt.edt(~core, anisotropy=geometry.spacing_mm[::-1]) <= _RADIUS_MM
    return covered & vessel


def _is_lesion(body: NDArray[np.bool_], labels: NDArray[np.uint8], geometry: Geometry) -> bool:
    """Whether `body`, with a voxel around it in `labels` `(K, J, I)`: of a lesion's size, round, and inside."""
    places_mm = np.argwhere(body) * geometry.spacing_mm[::-1]
    least_mm3, most_mm3 = (pi / 6 * diameter_mm**3 for diameter_mm in _DIAMETERS_MM)
    if not least_mm3 <= len(places_mm) * geometry.voxel_volume_mm3 <= most_mm3:
        return False
    moments = np.cov(places_mm.T) + np.diag(np.square(geometry.spacing_mm[::-1]) / 12)  # with the voxels' own
    shortest, *_, longest = np.sqrt(np.linalg.eigvalsh(moments))
    if longest > _MOST_ELONGATION * shortest:
        return False
    beside = labels[~eroded(~body) & ~body]
    shares = np.bincount(beside, minlength=4) / len(beside)
    joined = shares[TUMOR.value] + shares[VESSEL.value]
    return bool(joined <= _MOST_JOINED and shares[BACKGROUND] <= _MOST_OUTSIDE)
