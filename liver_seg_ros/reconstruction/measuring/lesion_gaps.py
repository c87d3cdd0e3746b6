# SPDX-License-Identifier: Apache-2.0
"""The gaps between each lesion and the vessels and the capsule, and whether the scan's border cuts it.

Distances are the smallest between centers of voxel faces. They are 0 exactly where two structures share a face, and
the same whichever way the grid runs. Either surface may lie anywhere in its voxel, half a voxel's diagonal from the
face: a distance is uncertain by one diagonal. Surfaces of millions of faces, which no organ has but noise, are thinned
(`parts.surface_points`), and a distance is as much more uncertain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Box, Geometry, to_vector
from liver_seg_ros.labels import BILE_DUCT, LIVER, LIVER_VESSELS, TUMOR, VENA_CAVA, Structure
from liver_seg_ros.measurement import Gap
from liver_seg_ros.reconstruction.masks import PAD, StructureMask
from liver_seg_ros.reconstruction.parts import cell_edge, surface_points
from liver_seg_ros.reconstruction.structure_masks import StructureMasks
from liver_seg_ros.volume import LabelVolume

#: What a lesion's distance to a vessel is measured to.
BLOOD_VESSELS = (*(structure for structure in LIVER_VESSELS if structure != BILE_DUCT), VENA_CAVA)

#: Of a lesion's surface every so many-th point is measured first.
_EVERY = 50

#: How far around a lesion is looked first.
_FIRST_REACH_MM = 10.0

Point: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class LesionGaps:
    """The gaps of one lesion; the fields are those of `PartMeasurement`."""

    to_vessel: Gap | None
    to_capsule: Gap | None
    touches_border: bool


class _Surface:
    """The surface of a structure to measure distances to: of what is near to a lesion only that.

    Points are sought in the box around a lesion, and in a larger one until none outside of it can be nearer. Where
    that would be more work than to take the whole surface, as for thousands of lesions or those of noise, it is taken.

    Attributes:
        structure: whose.
        error_mm: how far a face may be from the point that stands for it; 0 where every face has its own.
    """

    def __init__(self, mask: StructureMask) -> None:
        self.structure = mask.structure
        self._mask = mask
        self._cell = cell_edge(mask)
        self.error_mm = _thinning_error_mm(self._cell, mask.geometry)
        self._voxels_left = mask.array.size if self._cell == 1 else 0  # that may be looked at around lesions
        self._whole: cKDTree | None = None

    def nearest(self, lesion: StructureMask, surface_mm: NDArray[np.float64]) -> tuple[float, int, Point] | None:
        """The smallest distance, at which point `(N, 3)` of a lesion's surface, and to where; None without any face."""
        reach_mm = _FIRST_REACH_MM
        while self._voxels_left > 0:
            box = self._around(lesion, reach_mm)
            if box is not None:
                self._voxels_left -= math.prod(box.size)
                part = StructureMask(self.structure, self._mask.array[box.slices], self._mask.geometry.crop(box))
                found = _nearest(surface_mm, _tree(surface_points(part)))
                if found is not None and found[0] <= reach_mm:
                    return found
                if box.size == self._mask.geometry.size:
                    return found
            reach_mm *= 2
        if self._whole is None:
            self._whole = _tree(surface_points(self._mask, self._cell))
        return _nearest(surface_mm, self._whole)

    def _around(self, lesion: StructureMask, reach_mm: float) -> Box | None:
        """The voxels of the mask between which all faces within `reach_mm` of the lesion are; None where none are."""
        place = self._mask.geometry.place_of(lesion.geometry)  # with PAD layers around its voxels
        margin = [math.ceil(reach_mm / mm) for mm in self._mask.geometry.spacing_mm]
        start = [max(0, a - m) for a, m in zip(place.start, margin, strict=True)]
        stop = [min(n, b + m) for b, m, n in zip(place.stop, margin, self._mask.geometry.size, strict=True)]
        if any(a >= b for a, b in zip(start, stop, strict=True)):
            return None
        return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _tree(points_mm: NDArray[np.float64]) -> cKDTree:
    return cKDTree(points_mm, balanced_tree=False, compact_nodes=False)  # a quarter of the time to build


def _nearest(surface_mm: NDArray[np.float64], tree: cKDTree) -> tuple[float, int, Point] | None:
    if tree.n == 0:
        return None
    # Some points first: what is no nearer than they are need not be searched for.
    some = np.arange(0, len(surface_mm), _EVERY)
    distance_mm, nearest = tree.query(surface_mm[some])
    at = int(distance_mm.argmin())
    best_mm, start, end = float(distance_mm[at]), int(some[at]), int(nearest[at])
    if best_mm > 0:
        distance_mm, nearest = tree.query(surface_mm, distance_upper_bound=best_mm)  # infinite where not nearer
        at = int(distance_mm.argmin())
        if distance_mm[at] < best_mm:
            best_mm, start, end = float(distance_mm[at]), at, int(nearest[at])
    return best_mm, start, tree.data[end]


def lesion_gaps(
    labels: LabelVolume, masks: StructureMasks | None = None, count: int | None = None
) -> tuple[LesionGaps, ...]:
    """For each lesion, in the order of `parts.lesions`: the nearest vessel, the capsule and the border of the scan.

    The capsule is the outer surface of the organ, holes inside it left aside, and so is the scan's border, where the
    liver goes on unseen. A lesion that touches no liver voxel lies outside the liver and has no distance to it.

    Args:
        labels: the whole scan.
        masks: of these labels, for who has them already.
        count: of how many lesions, the largest; of all where None.
    """
    masks = masks or StructureMasks(labels)
    found = masks.parts(TUMOR)
    if count == 0 or not found:
        return ()
    vessels = [_Surface(mask) for s in BLOOD_VESSELS if (mask := masks.of(s)) is not None]
    capsule = _capsule(labels, masks.of(LIVER))
    cell = cell_edge(found.mask)
    error_mm = _thinning_error_mm(cell, labels.geometry)
    gaps = []
    for lesion in islice(found, count):
        surface_mm = surface_points(lesion, cell)
        to_vessels = (_gap(lesion, surface_mm, vessel, error_mm) for vessel in vessels)
        in_liver = capsule is not None and _touches(lesion, labels, LIVER)
        gaps.append(
            LesionGaps(
                min((gap for gap in to_vessels if gap is not None), key=lambda gap: gap.distance_mm, default=None),
                _gap(lesion, surface_mm, capsule, error_mm) if in_liver and capsule is not None else None,
                _reaches_border(lesion, labels.geometry),
            )
        )
    return tuple(gaps)


def _capsule(labels: LabelVolume, organ: StructureMask | None) -> _Surface | None:
    if organ is None:
        return None
    # Within the scan a mask has no faces at the scan's border.
    _, inner = labels.geometry.shared_with(organ.geometry)
    return _Surface(StructureMask(LIVER, organ.filled[inner.slices], organ.geometry.crop(inner)))


def _gap(lesion: StructureMask, surface_mm: NDArray[np.float64], other: _Surface, error_mm: float) -> Gap | None:
    """The smallest distance of the points of a lesion's surface, each of which stands for faces within `error_mm`."""
    found = other.nearest(lesion, surface_mm)
    if found is None:
        return None
    best_mm, start, end = found
    return Gap(
        other.structure,
        round(best_mm, 6),  # the same face, reached from two boxes, is not 1e-14 mm from itself
        float(np.linalg.norm(lesion.geometry.spacing_mm)) + other.error_mm + error_mm,
        to_vector(surface_mm[start]),
        to_vector(end),
    )


def _thinning_error_mm(cell: int, geometry: Geometry) -> float:
    return 0.0 if cell == 1 else cell / 2 * float(np.linalg.norm(geometry.spacing_mm))


def _reaches_border(lesion: StructureMask, geometry: Geometry) -> bool:
    place = geometry.place_of(lesion.geometry)  # with PAD layers around its voxels
    return any(start + PAD <= 0 for start in place.start) or any(
        stop - PAD >= size for stop, size in zip(place.stop, geometry.size, strict=True)
    )


def _touches(lesion: StructureMask, labels: LabelVolume, structure: Structure) -> bool:
    """Whether a voxel of `structure` is a neighbor of the lesion through a face, an edge or a corner."""
    grown = lesion.array.copy()  # its PAD layers have room for the neighbors
    for axis in range(3):
        array = np.moveaxis(grown, axis, 0)
        before = array.copy()
        array[1:] |= before[:-1]
        array[:-1] |= before[1:]
    in_scan, own = labels.geometry.shared_with(lesion.geometry)
    return bool(((labels.array[in_scan.slices] == structure.value) & grown[own.slices]).any())
