# SPDX-License-Identifier: Apache-2.0
"""Which vessels may feed a tumor: those that come near it, and how much of it each one is nearest to.

A voxel of the tumor is taken to be fed by the branch whose wall is nearest to it. Where the labels tell vessels apart,
veins that drain the liver and bile ducts do not feed; a vessel that is only known to be one counts as one that does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector, to_vector
from liver_seg_ros.labels import HEPATIC_ARTERY, PORTAL_VEIN, VESSEL, Structure
from liver_seg_ros.plain import plain_fields
from liver_seg_ros.planning.nearest_vessel import Vessels, nearest_vessel
from liver_seg_ros.reconstruction.parts import lesions, surface_points, voxel_points
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume

#: What may carry blood to a tumor.
FEEDING: tuple[Structure, ...] = (VESSEL, PORTAL_VEIN, HEPATIC_ARTERY)


@dataclass(frozen=True)
class FeedingVessel:
    """One branch near a lesion.

    Attributes:
        branch: its number in `VesselTree.branches`.
        structure: the row of the label table of its voxels.
        generation: 0 of the trunk, one more after each fork.
        radius_mm: mean of the branch.
        distance_mm: between the lesion's surface and the vessel's wall; 0 where they touch or the vessel runs inside.
        at_mm: LPS, where on the lesion that is.
        share: the part of the lesion's voxels, 0 to 1, that this branch is nearest to of all.
    """

    branch: int
    structure: Structure
    generation: int
    radius_mm: float
    distance_mm: float
    at_mm: Vector
    share: float


@dataclass(frozen=True)
class LesionFeeding:
    """The vessels of one lesion.

    Attributes:
        lesion: its place among the lesions, largest first, from 0 (`reconstruction.parts.lesions`).
        center_mm: LPS center of mass.
        vessels: branches within the distance asked for and those that some voxel is nearest to, largest share first;
            empty where the tree has no vessel that feeds. The shares add up to 1.
    """

    lesion: int
    center_mm: Vector
    vessels: tuple[FeedingVessel, ...]

    __repr__ = short_repr
    to_dict = plain_fields

    def within(self, distance_mm: float) -> tuple[FeedingVessel, ...]:
        """The vessels that are no further away than this."""
        return tuple(vessel for vessel in self.vessels if vessel.distance_mm <= distance_mm)


def feeding_vessels(labels: LabelVolume, tree: VesselTree, within_mm: float = 10.0) -> tuple[LesionFeeding, ...]:
    """The vessels of each lesion (connected part of the tumor), largest lesion first; empty without a tumor.

    Distances are exact between the vessels' walls and the points that stand for the lesion, the centers of its voxels
    and of its faces; the lesion's own surface is known to half a voxel's diagonal.

    Args:
        labels: where the tumor is.
        tree: the vessels of the same CT, in the same frame.
        within_mm: how near a branch must come to be listed whatever its share.

    Raises:
        InputError: the distance is negative.
    """
    if not within_mm >= 0:
        raise InputError(f"a distance of {within_mm} mm to the vessels is negative")
    branches = np.array([branch.number for branch in tree.branches if branch.structure in FEEDING], np.int64)
    feeding = []
    for number, lesion in enumerate(lesions(labels)):
        inside_mm = voxel_points(lesion)
        nearest = nearest_vessel(inside_mm, tree, branches).node
        shares = np.zeros(len(tree.branches))
        if len(branches):
            shares = np.bincount(tree.branch[nearest], minlength=len(tree.branches)) / len(nearest)
        points_mm = np.concatenate([surface_points(lesion), inside_mm])
        near = _distances(points_mm, tree, branches, within_mm, np.flatnonzero(shares))
        vessels = (_vessel(tree, branch, *near[branch], shares[branch]) for branch in near)
        ordered = sorted(vessels, key=lambda vessel: (-vessel.share, vessel.distance_mm))
        feeding.append(LesionFeeding(number, to_vector(inside_mm.mean(axis=0)), tuple(ordered)))
    return tuple(feeding)


def _distances(
    points_mm: NDArray[np.float64],
    tree: VesselTree,
    branches: NDArray[np.int64],
    within_mm: float,
    always: NDArray[np.int64],
) -> dict[int, tuple[float, NDArray[np.float64]]]:
    """Of each branch within the distance, and of those in `always`: how near it comes, and to which point."""
    vessels = Vessels.of(tree, branches)
    if not len(vessels.node):
        return {}
    branch = tree.branch[vessels.node]
    half_mm = np.linalg.norm(vessels.along_mm, axis=1) / 2
    to_middle_mm, _ = cKDTree(points_mm).query(vessels.start_mm + vessels.along_mm / 2)
    # A piece's wall is at least `least` and at most `most` away: pieces that cannot be their branch's nearest are left.
    least, most = to_middle_mm - half_mm - vessels.radius_mm, to_middle_mm - vessels.radius_mm
    most_of_branch = np.full(len(tree.branches), np.inf)
    np.minimum.at(most_of_branch, branch, most)
    asked = np.isin(branch, always) | (least <= within_mm)
    near: dict[int, tuple[float, NDArray[np.float64]]] = {}
    for piece in np.flatnonzero(asked & (least <= most_of_branch[branch])):
        to_wall_mm = vessels[np.array([piece])].wall_distance_mm(points_mm)[:, 0]
        at = int(to_wall_mm.argmin())
        distance_mm = max(0.0, float(to_wall_mm[at]))
        number = int(branch[piece])
        if number not in near or distance_mm < near[number][0]:
            near[number] = (distance_mm, points_mm[at])
    return {b: found for b, found in near.items() if found[0] <= within_mm or b in always}


def _vessel(tree: VesselTree, number: int, distance_mm: float, at: NDArray[np.float64], share: float) -> FeedingVessel:
    branch = tree.branches[number]
    return FeedingVessel(
        number, branch.structure, branch.generation, branch.radius_mm, distance_mm, to_vector(at), float(share)
    )
