# SPDX-License-Identifier: Apache-2.0
"""The gaps between each lesion and the vessels and the capsule, and whether the scan's border cuts it.

Distances are the smallest between centers of voxel faces. They are 0 exactly where two structures share a face, and
the same whichever way the grid runs. Either surface may lie anywhere in its voxel, half a voxel's diagonal from the
face: a distance is uncertain by one diagonal. Surfaces of millions of faces, which no organ has but noise, are thinned
(`parts.surface_points`), and a distance is as much more uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import fill_voids
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Geometry, to_vector
from liver_seg_ros.labels import BILE_DUCT, LIVER, LIVER_VESSELS, VENA_CAVA, Structure
from liver_seg_ros.measurement import Gap
from liver_seg_ros.reconstruction.masks import PAD, StructureMask, structure_mask
from liver_seg_ros.reconstruction.parts import cell_edge, lesions, surface_points
from liver_seg_ros.volume import LabelVolume

#: What a lesion's distance to a vessel is measured to.
BLOOD_VESSELS = (*(structure for structure in LIVER_VESSELS if structure != BILE_DUCT), VENA_CAVA)

#: Of a lesion's surface every so many-th point is measured first.
_EVERY = 50


@dataclass(frozen=True)
class LesionGaps:
    """The gaps of one lesion; the fields are those of `PartMeasurement`."""

    to_vessel: Gap | None
    to_capsule: Gap | None
    touches_border: bool


@dataclass(frozen=True, eq=False)
class _Surface:
    """The surface of a structure to measure distances to.

    Attributes:
        structure: whose.
        tree: of its points.
        error_mm: how far a face may be from the point that stands for it; 0 where every face has its own.
    """

    structure: Structure
    tree: cKDTree
    error_mm: float

    @staticmethod
    def of(mask: StructureMask) -> _Surface | None:
        """None where the mask has no face."""
        cell = cell_edge(mask)
        points_mm = surface_points(mask, cell)
        if not len(points_mm):
            return None
        tree = cKDTree(points_mm, balanced_tree=False, compact_nodes=False)  # a quarter of the time to build
        return _Surface(mask.structure, tree, _thinning_error_mm(cell, mask.geometry))


def lesion_gaps(
    labels: LabelVolume, organ: StructureMask | None = None, count: int | None = None
) -> tuple[LesionGaps, ...]:
    """For each lesion, in the order of `parts.lesions`: the nearest vessel, the capsule and the border of the scan.

    The capsule is the outer surface of the organ, holes inside it left aside, and so is the scan's border, where the
    liver goes on unseen. A lesion that touches no liver voxel lies outside the liver and has no distance to it.

    Args:
        labels: the whole scan.
        organ: its liver as `masks.structure_mask` gives it, for who has it already.
        count: of how many lesions, the largest; of all where None.
    """
    if count == 0 or not (found := lesions(labels)):
        return ()
    vessels = [_Surface.of(mask) for s in BLOOD_VESSELS if (mask := structure_mask(labels, s)) is not None]
    capsule = _capsule(labels, organ or structure_mask(labels, LIVER))
    cell = cell_edge(found.mask)
    error_mm = _thinning_error_mm(cell, labels.geometry)
    gaps = []
    for lesion in islice(found, count):
        surface_mm = surface_points(lesion, cell)
        to_vessels = [_gap(surface_mm, vessel, labels.geometry, error_mm) for vessel in vessels if vessel is not None]
        in_liver = capsule is not None and _touches(lesion, labels, LIVER)
        gaps.append(
            LesionGaps(
                min(to_vessels, key=lambda gap: gap.distance_mm, default=None),
                _gap(surface_mm, capsule, labels.geometry, error_mm) if in_liver and capsule is not None else None,
                _reaches_border(lesion, labels.geometry),
            )
        )
    return tuple(gaps)


def _capsule(labels: LabelVolume, organ: StructureMask | None) -> _Surface | None:
    if organ is None:
        return None
    # Within the scan a mask has no faces at the scan's border.
    _, inner = labels.geometry.shared_with(organ.geometry)
    return _Surface.of(StructureMask(LIVER, fill_voids.fill(organ.array)[inner.slices], organ.geometry.crop(inner)))


def _gap(surface_mm: NDArray[np.float64], other: _Surface, geometry: Geometry, error_mm: float) -> Gap:
    """The smallest distance of the points of a lesion's surface, each of which stands for faces within `error_mm`."""
    # Some points first: what is no nearer than they are need not be searched for.
    some = np.arange(0, len(surface_mm), _EVERY)
    distance_mm, nearest = other.tree.query(surface_mm[some])
    at = int(distance_mm.argmin())
    best_mm, start, end = float(distance_mm[at]), int(some[at]), int(nearest[at])
    if best_mm > 0:
        distance_mm, nearest = other.tree.query(surface_mm, distance_upper_bound=best_mm)  # infinite where not nearer
        at = int(distance_mm.argmin())
        if distance_mm[at] < best_mm:
            best_mm, start, end = float(distance_mm[at]), at, int(nearest[at])
    return Gap(
        other.structure,
        round(best_mm, 6),  # the same face, reached from two boxes, is not 1e-14 mm from itself
        float(np.linalg.norm(geometry.spacing_mm)) + other.error_mm + error_mm,
        to_vector(surface_mm[start]),
        to_vector(other.tree.data[end]),
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
