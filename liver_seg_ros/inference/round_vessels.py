# SPDX-License-Identifier: Apache-2.0
"""Lesions that a network takes for vessels, told from these by their shape and by how bright they are.

A vessel is long, and goes on at its ends. A body among the vessels that is about as wide as long, with liver on nearly
all of its surface, is a lesion that takes up contrast: a hemangioma, a nodule, a metastasis with many vessels. And
where vessels are brighter than the liver, what is darker than it is no vessel: if it is round, it is a lesion too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor, pi

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bodies import ANY_NEIGHBOR
from liver_seg_ros.inference.brightness import Brightness
from liver_seg_ros.inference.layers import for_each_layer
from liver_seg_ros.inference.neighborhood import both_ends
from liver_seg_ros.inference.reach import further_than
from liver_seg_ros.labels import BACKGROUND, TUMOR, VESSEL


@dataclass(frozen=True)
class _Kind:
    """What bodies are lesions.

    Attributes:
        radius_mm: of a ball that opens them: what is no wider falls off, and a body is seen without its branches.
        diameters_mm: as a ball of its volume. A smaller one may as well be where vessels meet; a larger one is the
            widest vessel's own middle, as a network knows so large a lesion.
        elongation: the longest by the shortest axis of an ellipsoid with its moments, at most.
    """

    radius_mm: float
    diameters_mm: tuple[float, float]
    elongation: float


_ANY, _DARK = _Kind(3.0, (10.0, 25.0), 1.75), _Kind(1.5, (7.0, 25.0), 1.45)
#: Which share of the voxels beside a lesion may be vessels or tumors, where a vessel goes on, or no liver.
_MOST_BESIDE = {VESSEL.value: 0.35, TUMOR.value: 0.1, BACKGROUND: 0.15}
#: Darker than the liver is what is darker by this share of noise.
_DARKER = 0.4
#: Of fewer voxels nothing can be told about the shape.
_LEAST_VOXELS = 27


def lesions_among_vessels(
    labels: NDArray[np.uint8], brightness: Brightness | None, geometry: Geometry
) -> NDArray[np.uint8]:
    """`labels` with those bodies of its vessels as tumors that are round and lie in the liver.

    Args:
        labels: `(K, J, I)`, not changed; of liver, tumors and vessels.
        brightness: of the CT there; None where it is not known, and shape alone tells.
        geometry: their grid.

    Returns:
        `(K, J, I)`; the same array where there is no such body.
    """
    vessel = labels == VESSEL.value
    kinds = [(_ANY, vessel)]
    if brightness is not None and brightness.vessels_stand_out:
        kinds.append((_DARK, _darker(vessel, brightness)))
    found = labels
    for kind, mask in kinds:
        for around, body in _bodies(mask, kind, geometry):
            if _is_lesion(body, labels[around.slices], kind, geometry):
                found = labels.copy() if found is labels else found
                found[around.slices][body] = TUMOR.value
    return found


def _darker(vessel: NDArray[np.bool_], brightness: Brightness) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: which vessels are darker than the liver around."""
    darker = np.zeros_like(vessel)

    def in_layer(layer: Box) -> None:
        dark = brightness.excess(layer) < -_DARKER * brightness.noise
        np.logical_and(vessel[layer.slices], dark, out=darker[layer.slices])

    for_each_layer(in_layer, brightness.layers)
    return darker


def _bodies(mask: NDArray[np.bool_], kind: _Kind, geometry: Geometry) -> Iterator[tuple[Box, NDArray[np.bool_]]]:
    """Each body that is left of `mask` `(K, J, I)` when it is opened: a box around it, and its voxels in that."""
    # Most vessels are thinner than the ball, which six looks tell; what they do not is asked for its distance.
    likely = mask.copy()
    for axis, spacing_mm in enumerate(geometry.spacing_mm[::-1]):
        likely &= both_ends(mask, floor(kind.radius_mm / spacing_mm), axis)
    deep = further_than(~mask, likely, geometry, kind.radius_mm)
    cores = cc3d.connected_components(deep, connectivity=ANY_NEIGHBOR)
    reach = geometry.voxels_over(kind.radius_mm + max(geometry.spacing_mm))
    for core, place in _boxes(cores, deep):
        around = place.padded(reach, geometry.size)
        from_core_mm = edt.edt(cores[around.slices] != core, anisotropy=geometry.spacing_mm[::-1])
        yield around, (from_core_mm <= kind.radius_mm) & mask[around.slices]


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


def _is_lesion(body: NDArray[np.bool_], labels: NDArray[np.uint8], kind: _Kind, geometry: Geometry) -> bool:
    """Whether `body`, with a voxel around it in `labels` `(K, J, I)`, is of a lesion's size, round, and inside."""
    places_mm = np.argwhere(body) * geometry.spacing_mm[::-1]
    least_mm3, most_mm3 = (pi / 6 * diameter_mm**3 for diameter_mm in kind.diameters_mm)
    if len(places_mm) < _LEAST_VOXELS or not least_mm3 <= len(places_mm) * geometry.voxel_volume_mm3 <= most_mm3:
        return False
    moments = np.cov(places_mm.T) + np.diag(np.square(geometry.spacing_mm[::-1]) / 12)  # with the voxels' own
    shortest, *_, longest = np.sqrt(np.linalg.eigvalsh(moments))
    if longest > kind.elongation * shortest:
        return False
    beside = labels[binary_dilation(body) & ~body]
    return all(np.mean(beside == value) <= most for value, most in _MOST_BESIDE.items())
