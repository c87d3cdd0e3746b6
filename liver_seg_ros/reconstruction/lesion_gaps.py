"""How near each lesion is to the vessels and to the liver's capsule, and whether the scan's border cuts it.

Distances are the smallest between centers of voxel faces. They are 0 exactly where two structures share a face, and
the same whichever way the grid runs. Either surface may lie anywhere in its voxel, half a voxel's diagonal from the
face: a distance is uncertain by one diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import fill_voids
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Geometry, to_vector
from liver_seg_ros.labels import BILE_DUCT, LIVER, LIVER_VESSELS, VENA_CAVA, Structure
from liver_seg_ros.measurement import Gap
from liver_seg_ros.reconstruction.masks import StructureMask, structure_mask
from liver_seg_ros.reconstruction.parts import lesions, surface_points
from liver_seg_ros.volume import LabelVolume

#: What a lesion's distance to a vessel is measured to.
BLOOD_VESSELS = (*(structure for structure in LIVER_VESSELS if structure != BILE_DUCT), VENA_CAVA)


@dataclass(frozen=True)
class LesionGaps:
    """What one lesion is near to; the fields are those of `PartMeasurement`."""

    to_vessel: Gap | None
    to_capsule: Gap | None
    touches_border: bool


def lesion_gaps(labels: LabelVolume, organ: StructureMask | None = None) -> tuple[LesionGaps, ...]:
    """For each lesion, in the order of `parts.lesions`: the nearest vessel, the capsule and the border of the scan.

    The capsule is the outer surface of the organ, holes inside it left aside, and so is the scan's border, where the
    liver goes on unseen. A lesion that touches no liver voxel lies outside the liver and has no distance to it.

    Args:
        labels: the whole scan.
        organ: its liver as `masks.structure_mask` gives it, for who has it already.
    """
    found = lesions(labels)
    if not found:
        return ()
    vessels = [(s, _surface_tree(mask)) for s in BLOOD_VESSELS if (mask := structure_mask(labels, s)) is not None]
    capsule = _capsule(labels, organ or structure_mask(labels, LIVER))
    gaps = []
    for lesion in found:
        surface_mm = surface_points(lesion)
        to_vessels = [_gap(surface_mm, tree, structure, labels.geometry) for structure, tree in vessels]
        in_liver = capsule is not None and _touches(lesion, labels, LIVER)
        gaps.append(
            LesionGaps(
                min(to_vessels, key=lambda gap: gap.distance_mm, default=None),
                _gap(surface_mm, capsule, LIVER, labels.geometry) if in_liver and capsule is not None else None,
                bool(_on_border(surface_mm, labels.geometry).any()),
            )
        )
    return tuple(gaps)


def _capsule(labels: LabelVolume, organ: StructureMask | None) -> cKDTree | None:
    if organ is None:
        return None
    surface_mm = surface_points(StructureMask(LIVER, fill_voids.fill(organ.array), organ.geometry))
    surface_mm = surface_mm[~_on_border(surface_mm, labels.geometry)]
    return _tree(surface_mm) if len(surface_mm) else None


def _surface_tree(mask: StructureMask) -> cKDTree:
    return _tree(surface_points(mask))


def _tree(points: NDArray[np.float64]) -> cKDTree:
    return cKDTree(points, balanced_tree=False, compact_nodes=False)  # a quarter of the time to build


def _gap(surface_mm: NDArray[np.float64], other: cKDTree, structure: Structure, geometry: Geometry) -> Gap:
    distance_mm, nearest = other.query(surface_mm)
    at = int(distance_mm.argmin())
    return Gap(
        structure,
        round(float(distance_mm[at]), 6),  # the same face, reached from two boxes, is not 1e-14 mm from itself
        float(np.linalg.norm(geometry.spacing_mm)),
        to_vector(surface_mm[at]),
        to_vector(other.data[nearest[at]]),
    )


def _on_border(points_mm: NDArray[np.float64], geometry: Geometry) -> NDArray[np.bool_]:
    """`(N,)`: which centers of faces lie on the border of the grid."""
    index = geometry.lps_to_index(points_mm)
    return np.any((index < -0.49) | (index > np.array(geometry.size) - 0.51), axis=1)


def _touches(lesion: StructureMask, labels: LabelVolume, structure: Structure) -> bool:
    """Whether a voxel of `structure` is a neighbor of the lesion through a face, an edge or a corner."""
    start = np.rint(labels.geometry.lps_to_index(lesion.geometry.origin_mm)).astype(int)[::-1]
    around = np.argwhere(binary_dilation(lesion.array, np.ones((3, 3, 3)))) + start  # (N, 3) as (k, j, i)
    around = around[((around >= 0) & (around < labels.array.shape)).all(axis=1)]
    return bool((labels.array[tuple(around.T)] == structure.value).any())
