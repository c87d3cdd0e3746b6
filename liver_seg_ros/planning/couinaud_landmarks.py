# SPDX-License-Identifier: Apache-2.0
"""What Couinaud's segments are told apart by: the vena cava, the hepatic veins' directions, the portal bifurcation.

All vertical planes stand on the vena cava, which is taken to run along the patient's axis at the height at which the
hepatic veins join it. The directions in which the wide hepatic veins run from it, seen from above, fall into three
groups, right, middle and left; where they do not, these planes are not known. The middle plane may come from the
gallbladder then (Cantlie's line). The bifurcation is the first fork of the portal trunk into two wide branches or,
where that lies outside of the liver, the middle between the two wide veins that come in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Vector, to_vector
from liver_seg_ros.labels import GALLBLADDER, HEPATIC_VEIN, LIVER, PORTAL_VEIN
from liver_seg_ros.plain import plain_fields
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.reconstruction.vessels.vein_places import vein_places, vena_cava_points
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume

#: Hepatic veins of this share of the widest radius tell directions, between so far from the cava's axis.
WIDE, NEAR_MM, FAR_MM = 0.35, 12.0, 90.0
#: Veins whose directions differ by less are not told apart, and one of less than this share of their weight is none.
LEAST_APART_DEG, LEAST_SHARE = 18.0, 0.06
#: Branches of the portal bifurcation have this share of the widest portal radius or more.
BRANCH_WIDTH = 0.4
#: It is no further from the liver: where splenic and mesenteric vein join is.
AT_LIVER_MM = 10.0


@dataclass(frozen=True)
class CouinaudLandmarks:
    """Where the planes are; None for what is not known.

    Directions are degrees seen from above, from the patient's right (0) over the front (90) to the left (180).

    Attributes:
        cava_mm: LPS, on the vena cava's axis where the hepatic veins join it.
        right_deg, middle_deg, left_deg: in which the hepatic veins, or what stands for them, run from the cava.
        bifurcation_mm: LPS, where the portal vein divides into right and left.
        middle_by: what told the middle plane: "hepatic vein", "gallbladder", or "" where nothing did.
    """

    cava_mm: Vector | None = None
    right_deg: float | None = None
    middle_deg: float | None = None
    left_deg: float | None = None
    bifurcation_mm: Vector | None = None
    middle_by: str = ""

    to_dict = plain_fields

    @property
    def unknown(self) -> tuple[str, ...]:
        """Which boundaries are not known, and for want of what; in words."""
        if self.cava_mm is None:
            return ("all boundaries: no vena cava is labelled, and no map of the surroundings has one",)
        found = []
        if self.right_deg is None:
            found.append("5 and 8 from 6 and 7: no right hepatic vein was told apart")
        if self.middle_deg is None:
            found.append("4 from 5 and 8: neither a middle hepatic vein nor a gallbladder was found")
        if self.left_deg is None:
            found.append("4 from 2 and 3: no left hepatic vein was told apart")
        if self.bifurcation_mm is None:
            found.append("upper from lower segments, and 1 from all others: no portal bifurcation was found")
        return tuple(found)


def find_landmarks(labels: LabelVolume, tree: VesselTree, surroundings: LabelVolume | None = None) -> CouinaudLandmarks:
    """The landmarks of one patient.

    Args:
        labels: the liver; the vena cava and the gallbladder where they are labelled.
        tree: its vessels, portal and hepatic veins by their names.
        surroundings: a map that may have the vena cava and the gallbladder.
    """
    places = vein_places(labels, surroundings)
    bifurcation = _bifurcation(tree, labels)
    if places is None or not places.by_cava or not len(vena_cava_points(labels, surroundings)):
        return CouinaudLandmarks(bifurcation_mm=bifurcation)
    cava = places.confluence_mm
    right, middle, left = _vein_directions(tree, cava, -np.inf if bifurcation is None else bifurcation[2])
    by = "" if middle is None else "hepatic vein"
    if middle is None and (at_mm := _gallbladder(labels, surroundings)) is not None:
        middle, by = float(direction_deg(at_mm[None], cava)[0]), "gallbladder"
    return CouinaudLandmarks(to_vector(cava), right, middle, left, bifurcation, by)


def direction_deg(points_mm: NDArray[np.float64], cava_mm: NDArray[np.float64] | Vector) -> NDArray[np.float64]:
    """`(N,)` direction of points from the cava's axis, from -90 (behind) over 0 (right) and 180 (left) to 270."""
    away = points_mm - np.asarray(cava_mm)
    degrees = np.degrees(np.arctan2(-away[..., 1], -away[..., 0]))
    return np.where(degrees < -90, degrees + 360, degrees)


def _vein_directions(
    tree: VesselTree, cava_mm: NDArray[np.float64], least_z_mm: float
) -> tuple[float | None, float | None, float | None]:
    """Of the right, middle and left hepatic vein; None for all three unless there are three."""
    steps = tree.edges
    is_hepatic = np.array([branch.structure == HEPATIC_VEIN for branch in tree.branches], bool)
    steps = steps[is_hepatic[tree.branch[steps[:, 1]]]] if len(steps) else steps
    if not len(steps):
        return None, None, None
    ends, radius = tree.points_mm[steps], tree.radius_mm[steps[:, 1]]
    middle = ends.mean(axis=1)
    from_axis_mm = np.linalg.norm((middle - cava_mm)[:, :2], axis=1)
    chosen = (radius >= WIDE * radius.max()) & (from_axis_mm > NEAR_MM) & (from_axis_mm < FAR_MM)
    chosen &= middle[:, 2] > least_z_mm
    weight = (np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) * radius**2)[chosen]
    degrees = direction_deg(middle[chosen], cava_mm)
    if len(degrees) < 3:
        return None, None, None
    order = np.argsort(degrees)
    return _three(degrees[order], weight[order])


def _three(
    degrees: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float | None, float | None, float | None]:
    """The three groups of least weighted variance, by trying all pairs of cuts on a grid of degrees."""
    candidates = np.arange(np.ceil(degrees[0]), degrees[-1], 4.0)
    best, least = None, np.inf
    for n, one in enumerate(candidates):
        for other in candidates[n + 1 :]:
            groups = np.digitize(degrees, (one, other))
            whole = np.bincount(groups, weight, 3)
            if (whole < LEAST_SHARE * weight.sum()).any():
                continue
            centers = np.bincount(groups, weight * degrees, 3) / whole
            spread = float((weight * (degrees - centers[groups]) ** 2).sum())
            if spread < least and np.diff(centers).min() >= LEAST_APART_DEG:
                best, least = centers, spread
    if best is None:
        return None, None, None
    right, middle, left = best.tolist()
    return right, middle, left


def _bifurcation(tree: VesselTree, labels: LabelVolume) -> Vector | None:
    portal = [branch for branch in tree.branches if branch.structure == PORTAL_VEIN]
    if not portal:
        return None
    widest_mm = max(branch.radius_mm for branch in portal)
    wide = [branch for branch in portal if branch.radius_mm >= BRANCH_WIDTH * widest_mm]
    last = {
        int(number): node for node, number in enumerate(tree.branch.tolist())
    }  # nodes of a branch follow each other
    first_tree = max(wide, key=lambda branch: (branch.parent < 0, branch.radius_mm)).tree
    organ = structure_mask(labels, LIVER)
    if organ is None:
        return None
    liver = cKDTree(organ.geometry.index_to_lps(np.argwhere(organ.array)[:, ::-1]))
    for parent in sorted((b for b in wide if b.tree == first_tree), key=lambda b: b.generation):
        fork = tree.points_mm[last[parent.number]]
        if sum(branch.parent == parent.number for branch in wide) >= 2 and liver.query(fork)[0] <= AT_LIVER_MM:
            return to_vector(fork)
    roots = sorted((b for b in wide if b.parent < 0), key=lambda b: -b.radius_mm)[:2]
    if len(roots) < 2:
        return None
    begins = [int(np.flatnonzero((tree.branch == root.number) & (tree.parent < 0))[0]) for root in roots]
    return to_vector(tree.points_mm[begins].mean(axis=0))


def _gallbladder(labels: LabelVolume, surroundings: LabelVolume | None) -> NDArray[np.float64] | None:
    for source in (labels, surroundings):
        if source is not None and (found := np.argwhere(source.array == GALLBLADDER.value)).size:
            return np.asarray(source.geometry.index_to_lps(found[:, ::-1]).mean(axis=0))
    return None
