# SPDX-License-Identifier: Apache-2.0
"""What a resection leaves: the future liver remnant, and which vessels it cuts.

The remnant is given in percent of the functional liver, the organ without its tumors, as is usual for total functional
volumes (Vauthey et al. 2000, and those who measure it by CT):

    remnant % = 100 x (remaining organ - tumor in it) / (organ - all tumor)

The organ is the hull that a surgeon sees, enclosed vessels included (`reconstruction.masks`). Volumes count voxels by
their centers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry, Vector
from liver_seg_ros.labels import LIVER, TUMOR, Structure
from liver_seg_ros.plain import plain_fields
from liver_seg_ros.planning.nearest_vessel import Vessels
from liver_seg_ros.planning.territories import LiverTerritories
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume


@dataclass(frozen=True)
class CutBranch:
    """A vessel that must be divided.

    Attributes:
        branch: its number in `VesselTree.branches`.
        structure: the row of the label table of its voxels.
        generation: 0 of the trunk, one more after each fork.
        radius_mm: where it is cut.
        at_mm: LPS, where that is on the centerline.
    """

    branch: int
    structure: Structure
    generation: int
    radius_mm: float
    at_mm: Vector


@dataclass(frozen=True)
class Resection:
    """What a resection takes and leaves.

    Attributes:
        liver_ml: the organ before, tumors included.
        tumor_ml: the tumor in it.
        resected_ml: what is taken of the organ, tumors included.
        remnant_ml: future liver remnant: what is left of the organ, without tumor.
        remnant_percent: of the functional liver; 0 where there is none.
        tumor_left_ml: tumor that stays behind.
        cut: vessels that are divided inside the organ, thickest first.
    """

    liver_ml: float
    tumor_ml: float
    resected_ml: float
    remnant_ml: float
    remnant_percent: float
    tumor_left_ml: float
    cut: tuple[CutBranch, ...]

    __repr__ = short_repr
    to_dict = plain_fields


def resect_by_plane(labels: LabelVolume, tree: VesselTree, point_mm: ArrayLike, normal: ArrayLike) -> Resection:
    """A cut along a plane through the whole liver.

    Args:
        labels: the patient; without a liver all volumes are 0.
        tree: the vessels of the same CT; may be empty.
        point_mm: LPS, a point of the plane.
        normal: its normal, of any length, towards what is taken out.

    Raises:
        InputError: a number that is not finite, or a normal without a direction.
    """
    point, direction = np.asarray(point_mm, np.float64), np.asarray(normal, np.float64)
    length = float(np.linalg.norm(direction))
    if point.shape != (3,) or direction.shape != (3,) or not np.isfinite([*point, *direction]).all() or length < 1e-9:
        raise InputError(
            f"the resection plane through {point.tolist()} with normal {direction.tolist()} is none: give three "
            "finite coordinates in mm, and a normal with a direction, not zero"
        )
    direction = direction / length
    organ = structure_mask(labels, LIVER)
    if organ is None:
        return resection_of(0.0, 0.0, 0.0, 0.0, ())
    ml = organ.geometry.voxel_volume_ml
    taken = _beyond(organ.geometry, point, direction)
    taken_organ_ml = float(np.count_nonzero(organ.array & taken) * ml)
    tumor = structure_mask(labels, TUMOR)
    tumor_ml = tumor_left_ml = 0.0
    if tumor is not None:
        tumor_ml = float(np.count_nonzero(tumor.array) * ml)
        tumor_left_ml = float(np.count_nonzero(tumor.array & ~_beyond(tumor.geometry, point, direction)) * ml)

    vessels = Vessels.of(tree)
    before = (vessels.start_mm - point) @ direction
    after = (vessels.start_mm + vessels.along_mm - point) @ direction
    crosses = np.flatnonzero((before > 0) != (after > 0))
    fraction = before[crosses] / (before[crosses] - after[crosses])
    at_mm = vessels.start_mm[crosses] + fraction[:, None] * vessels.along_mm[crosses]
    inside = _in_mask(organ.array, organ.geometry, at_mm)
    cut = _cut(tree, vessels.node[crosses][inside], at_mm[inside])
    return resection_of(float(np.count_nonzero(organ.array) * ml), tumor_ml, taken_organ_ml, tumor_left_ml, cut)


def resect_territories(territories: LiverTerritories, tree: VesselTree, removed: Sequence[int]) -> Resection:
    """Taking out whole territories, each cut off where its branch begins.

    Args:
        territories: the liver divided.
        tree: the vessels it was divided by.
        removed: places in `territories.territories`.

    Raises:
        InputError: a territory that is not there.
    """
    rows = territories.territories
    wrong = [number for number in removed if not 0 <= number < len(rows)]
    if wrong:
        raise InputError(f"territory {wrong[0]} is not there: {len(rows)} territories are numbered from 0")
    taken = [rows[number] for number in sorted(set(removed))]
    taken_tumor_ml = sum(row.tumor_ml for row in taken)
    vessels = Vessels.of(tree)
    branch = tree.branch[vessels.node]
    # The pieces of a branch follow each other, and a root's own has no length: its branch is cut right there.
    first = np.array([int(np.flatnonzero(branch == row.branch)[0]) for row in taken], np.int64)
    return resection_of(
        sum(row.volume_ml for row in rows) + territories.unassigned_ml,
        territories.tumor_ml,
        sum(row.volume_ml for row in taken),
        territories.tumor_ml - taken_tumor_ml,
        _cut(tree, vessels.node[first], vessels.start_mm[first]),
    )


def resection_of(
    liver_ml: float, tumor_ml: float, resected_ml: float, tumor_left_ml: float, cut: tuple[CutBranch, ...]
) -> Resection:
    """What is left of these volumes."""
    remnant_ml = max(0.0, liver_ml - resected_ml - tumor_left_ml)
    functional_ml = liver_ml - tumor_ml
    percent = 100 * remnant_ml / functional_ml if functional_ml > 0 else 0.0
    return Resection(liver_ml, tumor_ml, resected_ml, remnant_ml, percent, tumor_left_ml, cut)


def _cut(tree: VesselTree, nodes: NDArray[np.int64], at_mm: NDArray[np.float64]) -> tuple[CutBranch, ...]:
    found = []
    for node, (x, y, z) in zip(nodes.tolist(), at_mm.tolist(), strict=True):
        row = tree.branches[tree.branch[node]]
        found.append(CutBranch(row.number, row.structure, row.generation, float(tree.radius_mm[node]), (x, y, z)))
    return tuple(sorted(found, key=lambda cut: -cut.radius_mm))


def _beyond(geometry: Geometry, point_mm: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.bool_]:
    """`(K, J, I)`: which voxels' centers lie beyond the plane; its distance is a sum of one term for each index."""
    step = geometry.affine[:3, :3].T @ direction  # mm towards the direction for one step along (i, j, k)
    origin_mm = float((np.array(geometry.origin_mm) - point_mm) @ direction)
    i, j, k = (np.arange(n) * s for n, s in zip(geometry.size, step, strict=True))
    in_slice = j[:, None] + i
    return np.stack([in_slice > -(origin_mm + along) for along in k])


def _in_mask(mask: NDArray[np.bool_], geometry: Geometry, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """`(N,)` whether the voxel that each point lies in belongs to the mask."""
    index = np.rint(geometry.lps_to_index(points_mm)).astype(int)[:, ::-1]
    on_grid = ((index >= 0) & (index < mask.shape)).all(axis=1)
    inside = np.zeros(len(points_mm), bool)
    inside[on_grid] = mask[tuple(index[on_grid].T)]
    return inside
