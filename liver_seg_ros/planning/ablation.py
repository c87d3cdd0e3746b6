# SPDX-License-Identifier: Apache-2.0
"""Does an ablation zone cover the tumor with its margin, and what else does it reach?

Fractions and volumes count voxels by their centers. Margins and distances are exact between the ellipsoid and the
centers of the voxels' faces, so that they are as uncertain as the labels' surfaces are: half a voxel's diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry, Vector, to_vector
from liver_seg_ros.labels import LIVER, LIVER_VESSELS, STRUCTURES, TUMOR, Structure
from liver_seg_ros.plain import plain_fields
from liver_seg_ros.planning.ablation_zone import AblationZone
from liver_seg_ros.planning.nearest_vessel import Vessels
from liver_seg_ros.reconstruction.masks import StructureMask, structure_mask
from liver_seg_ros.reconstruction.parts import lesions, surface_points, voxel_points
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume

#: How far around the zone other structures are looked for.
REACH_MM = 20.0
#: What belongs to the liver: a margin is asked for in it, and no further than it goes.
OF_LIVER = (LIVER, TUMOR, *LIVER_VESSELS)


@dataclass(frozen=True)
class TumorCoverage:
    """What the zone does to one lesion.

    Attributes:
        lesion: its place among the lesions, largest first, from 0.
        volume_ml: of the lesion.
        covered: the part of it, 0 to 1, that the zone covers.
        covered_with_margin: the part of lesion and margin that it covers. The margin is what of the liver lies within
            the margin asked for of the lesion's surface; beyond the capsule none is needed.
        smallest_margin_mm: the smallest distance from the lesion's surface to the zone's; negative where the lesion
            reaches out of the zone. It is measured all around, towards the capsule too.
        smallest_at_mm: LPS, where on the lesion that is.
        uncertainty_mm: of the smallest margin.
    """

    lesion: int
    volume_ml: float
    covered: float
    covered_with_margin: float
    smallest_margin_mm: float
    smallest_at_mm: Vector
    uncertainty_mm: float


@dataclass(frozen=True)
class VesselInZone:
    """A branch whose wall reaches into the zone.

    Attributes:
        branch: its number in `VesselTree.branches`.
        structure: the row of the label table of its voxels.
        generation: 0 of the trunk, one more after each fork.
        radius_mm: the largest within the zone.
        length_mm: of the centerline, over which its wall is in the zone.
        heat_sink: its radius is at least the one asked for: flowing blood may cool the zone there.
    """

    branch: int
    structure: Structure
    generation: int
    radius_mm: float
    length_mm: float
    heat_sink: bool


@dataclass(frozen=True)
class StructureNearZone:
    """Another structure within `REACH_MM` of the zone.

    Attributes:
        structure: the row of the label table.
        distance_mm: from the zone's surface to the nearest point of it; negative how deep it reaches in.
        at_mm: LPS, that point.
        inside_ml: how much of it lies in the zone.
    """

    structure: Structure
    distance_mm: float
    at_mm: Vector
    inside_ml: float


@dataclass(frozen=True)
class AblationCheck:
    """What `check_ablation` found.

    Attributes:
        zone: the zone asked about.
        margin_mm: the margin asked for.
        tumor: what it does to the lesion; None without a lesion.
        healthy_liver_ml: voxels of liver, without tumor and vessels, in the zone.
        outside_liver_ml: how much of the zone lies in no part of the liver (or outside the scan).
        vessels: branches in the zone, thickest first.
        others: structures other than the liver and its vessels in or near the zone, nearest first.
    """

    zone: AblationZone
    margin_mm: float
    tumor: TumorCoverage | None
    healthy_liver_ml: float
    outside_liver_ml: float
    vessels: tuple[VesselInZone, ...]
    others: tuple[StructureNearZone, ...]

    __repr__ = short_repr
    to_dict = plain_fields


def check_ablation(
    labels: LabelVolume,
    tree: VesselTree,
    zone: AblationZone,
    margin_mm: float = 5.0,
    heat_sink_radius_mm: float = 1.5,
    lesion: int | None = None,
) -> AblationCheck:
    """What an ablation destroys, covers and comes near.

    Args:
        labels: the patient.
        tree: the vessels of the same CT; may be empty.
        zone: where it burns or freezes.
        margin_mm: how much liver around the tumor is to be destroyed with it; 5 mm is usual, 10 mm better.
        heat_sink_radius_mm: from which radius on a vessel cools; 3 mm in diameter in the literature (Lu et al. 2002).
        lesion: which one is meant, by its place among the lesions; the one nearest to the zone's center where None.

    Raises:
        InputError: a negative margin or radius, or a lesion that is not there.
    """
    if not (margin_mm >= 0 and heat_sink_radius_mm >= 0):
        raise InputError(f"a margin of {margin_mm} mm and vessels of {heat_sink_radius_mm} mm: give no negative ones")
    window = _around(labels, zone, REACH_MM)
    healthy_ml = of_liver_ml = 0.0
    others: list[StructureNearZone] = []
    if window is not None:
        inside = _inside(window.geometry, zone)
        ml = window.geometry.voxel_volume_ml
        counts = np.bincount(window.array[inside], minlength=256)
        healthy_ml = float(counts[LIVER.value] * ml)
        of_liver_ml = float(sum(counts[structure.value] for structure in OF_LIVER) * ml)
        there = (s for s in STRUCTURES if s not in OF_LIVER and (window.array == s.value).any())
        others = [_other(window, zone, structure, float(counts[structure.value] * ml)) for structure in there]
    return AblationCheck(
        zone,
        margin_mm,
        _coverage(labels, zone, margin_mm, lesion),
        healthy_ml,
        max(0.0, zone.volume_ml - of_liver_ml),
        _vessels(tree, zone, heat_sink_radius_mm),
        tuple(sorted(others, key=lambda other: other.distance_mm)),
    )


def _coverage(labels: LabelVolume, zone: AblationZone, margin_mm: float, number: int | None) -> TumorCoverage | None:
    found = lesions(labels)
    if number is not None and not 0 <= number < len(found):
        raise InputError(f"lesion {number} is not there: {len(found)} lesions are numbered from 0, largest first")
    if not found:
        return None
    if number is None:
        to_center = [cKDTree(voxel_points(lesion)).query(zone.center_mm)[0] for lesion in found]
        number = int(np.argmin(to_center))
    lesion = found[number]
    surface_mm = surface_points(lesion)
    depth_mm = zone.depth_mm(surface_mm)
    at = int(depth_mm.argmin())
    inside_mm, with_margin_mm = voxel_points(lesion), _with_margin(labels, lesion, margin_mm)
    return TumorCoverage(
        number,
        len(inside_mm) * labels.geometry.voxel_volume_ml,
        float(zone.contains(inside_mm).mean()),
        float(zone.contains(with_margin_mm).mean()),
        float(depth_mm[at]),
        to_vector(surface_mm[at]),
        float(np.linalg.norm(labels.geometry.spacing_mm)) / 2,
    )


def _with_margin(labels: LabelVolume, lesion: StructureMask, margin_mm: float) -> NDArray[np.float64]:
    """`(N, 3)` LPS: centers of the lesion's voxels and of the liver's within the margin of its surface."""
    spacing_mm = np.array(labels.geometry.spacing_mm)
    in_scan, own = labels.geometry.shared_with(lesion.geometry)
    box = in_scan.padded(_three(np.ceil(margin_mm / spacing_mm)), labels.geometry.size)
    of_lesion = np.zeros(labels.array[box.slices].shape, bool)
    of_lesion[in_scan.seen_from(box).slices] = lesion.array[own.slices]
    # Distances are between centers of voxels; the lesion's surface lies half a voxel further out.
    distance_mm = edt.edt(~of_lesion, anisotropy=tuple(spacing_mm[::-1]), black_border=False)
    of_liver = np.isin(labels.array[box.slices], [structure.value for structure in OF_LIVER])
    near = of_lesion | (of_liver & (distance_mm <= margin_mm + spacing_mm.min() / 2) & (margin_mm > 0))
    return labels.geometry.crop(box).index_to_lps(np.argwhere(near)[:, ::-1])


def _vessels(tree: VesselTree, zone: AblationZone, heat_sink_radius_mm: float) -> tuple[VesselInZone, ...]:
    vessels = Vessels.of(tree)
    length_mm = zone.length_inside_mm(vessels.start_mm, vessels.along_mm, vessels.radius_mm)
    inside = np.flatnonzero(length_mm > 0)
    branch = tree.branch[vessels.node[inside]]
    found = []
    for number in np.unique(branch).tolist():
        pieces = inside[branch == number]
        radius_mm = float(vessels.radius_mm[pieces].max())
        row = tree.branches[number]
        length = float(length_mm[pieces].sum())
        found.append(
            VesselInZone(number, row.structure, row.generation, radius_mm, length, radius_mm >= heat_sink_radius_mm)
        )
    return tuple(sorted(found, key=lambda vessel: -vessel.radius_mm))


def _other(window: LabelVolume, zone: AblationZone, structure: Structure, inside_ml: float) -> StructureNearZone:
    mask = structure_mask(window, structure)
    assert mask is not None  # the caller saw it there
    surface_mm = surface_points(mask)
    depth_mm = zone.depth_mm(surface_mm)
    at = int(depth_mm.argmax())
    return StructureNearZone(structure, float(-depth_mm[at]), to_vector(surface_mm[at]), inside_ml)


def _around(labels: LabelVolume, zone: AblationZone, reach_mm: float) -> LabelVolume | None:
    """The voxels within reach of the zone; None where the zone is that far outside the scan."""
    half = (max(zone.along_mm, zone.across_mm) + reach_mm) / np.array(labels.geometry.spacing_mm)
    middle = labels.geometry.lps_to_index(zone.center_mm)
    low = np.maximum(np.floor(middle - half), 0).astype(int)
    high = np.minimum(np.ceil(middle + half) + 1, labels.geometry.size).astype(int)
    return None if (high <= low).any() else labels.crop(Box(_three(low), _three(high)))


def _inside(geometry: Geometry, zone: AblationZone) -> NDArray[np.bool_]:
    """`(K, J, I)`: which voxels' centers lie in the zone, slice by slice."""
    i, j, k = geometry.size
    index = np.zeros((j, i, 3))
    index[..., 0], index[..., 1] = np.arange(i), np.arange(j)[:, None]
    inside = np.empty((k, j, i), bool)
    for number in range(k):
        index[..., 2] = number
        inside[number] = zone.contains(geometry.index_to_lps(index))
    return inside


def _three(values: ArrayLike) -> tuple[int, int, int]:
    i, j, k = np.asarray(values, np.int64).tolist()
    return i, j, k
