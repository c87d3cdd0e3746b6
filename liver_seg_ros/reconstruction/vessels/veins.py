# SPDX-License-Identifier: Apache-2.0
"""Portal and hepatic veins apart: from one structure `vessel` to two that have a name, and a rest that has none.

The vessels are taken as trees (`trees`), cut finely where one goes on against what vessels do: wider, or around a
corner where another goes straight. Each tree is portal, hepatic, or open (`vein_kinds`), and each voxel is what the
vessel is whose wall is nearest. No network is involved, and nothing is learned from any data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.labels import HEPATIC_VEIN, PORTAL_VEIN, VESSEL, Structure
from liver_seg_ros.reconstruction.masks import StructureMask, labelled_box, structure_mask
from liver_seg_ros.reconstruction.vessels.branches import Forest, build_tree
from liver_seg_ros.reconstruction.vessels.centerlines import trace_centerlines
from liver_seg_ros.reconstruction.vessels.trees import grow_trees
from liver_seg_ros.reconstruction.vessels.tube_fit import fit_tubes
from liver_seg_ros.reconstruction.vessels.vein_kinds import TreeKinds, kinds_of_trees
from liver_seg_ros.reconstruction.vessels.vein_places import VeinPlaces, vein_places
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import EMPTY_TREE, VesselTree
from liver_seg_ros.volume import LabelVolume

#: Finer than in `trees`: a tree of two kinds cannot be named, and two of one kind can.
OWN_TREE, TRUNK_WIDTH = 0.15, 0.2
#: What a vessel may be found to be.
KINDS: tuple[Structure, ...] = (PORTAL_VEIN, HEPATIC_VEIN, VESSEL)
#: Voxels further outside of every vessel's wall than this keep their label.
REACH_MM = 4.0


@dataclass(frozen=True)
class VeinAmount:
    """How much there is of a kind of vessel, by its name in the label table: its voxels, and its centerlines."""

    structure: str
    volume_ml: float
    length_mm: float


@dataclass(frozen=True)
class NamedTree:
    """A tree of `SeparatedVeins.tree`: its number, its structure's name, how sure that is, its centerlines' length."""

    tree: int
    structure: str
    confidence: float
    length_mm: float


@dataclass(frozen=True, eq=False)
class SeparatedVeins:
    """What `separate_veins` returns.

    Attributes:
        labels: as before, but that vessels are portal veins or hepatic veins where that is known.
        tree: of the vessels that were `vessel`, each branch with the structure that it was found to be.
        confidence: `(T,)` of each tree of `tree`, 0.5 to 1.
        by_cava: whether the vena cava was there to tell the two apart by; the liver's box alone otherwise.
        message: why nothing was named; empty where something was.
    """

    labels: LabelVolume
    tree: VesselTree
    confidence: NDArray[np.float64]
    by_cava: bool
    message: str = ""

    __repr__ = short_repr

    def amounts(self) -> tuple[VeinAmount, ...]:
        """Of portal veins, of hepatic veins, and of what has no name."""
        counts, ml = self.labels.counts(), self.labels.geometry.voxel_volume_ml
        lengths = {kind: [b.length_mm for b in self.tree.branches if b.structure == kind] for kind in KINDS}
        return tuple(VeinAmount(kind.name, counts.get(kind.name, 0) * ml, sum(lengths[kind])) for kind in KINDS)

    def trees(self) -> tuple[NamedTree, ...]:
        """All trees, by number."""
        length_mm = np.zeros(len(self.confidence))
        names = {}
        for branch in self.tree.branches:
            length_mm[branch.tree] += branch.length_mm
            names[branch.tree] = branch.structure.name
        sure = self.confidence.tolist()
        return tuple(NamedTree(n, names[n], round(sure[n], 3), round(float(length_mm[n]), 3)) for n in sorted(names))


def separate_veins(labels: LabelVolume, surroundings: LabelVolume | None = None) -> SeparatedVeins:
    """The vessels of `labels` told apart.

    Voxels that are labelled as a portal or hepatic vein already stay as they are. Without a liver, or vessels that are
    longer than wide, nothing is named, and `message` says why.

    Args:
        labels: on any right-handed grid.
        surroundings: a map of the organs around the liver on a grid of its own, for the vena cava.
    """
    places = vein_places(labels, surroundings)
    tree = EMPTY_TREE
    mask = structure_mask(labelled_box(labels), VESSEL) if VESSEL in labels.structures() else None
    if mask is not None and places is not None:
        tree = _fine_trees(mask)
    if mask is None or places is None or not tree.branches:
        why = "no liver is labelled" if places is None else "there is no vessel that is not named yet"
        return SeparatedVeins(labels, EMPTY_TREE, np.empty(0), False, why)
    kinds = kinds_of_trees(tree, places)
    tree = replace(
        tree, branches=tuple(replace(branch, structure=kinds.structures[branch.tree]) for branch in tree.branches)
    )
    return _separated(labels, mask, tree, kinds, places)


def _fine_trees(mask: StructureMask) -> VesselTree:
    spacing_mm = mask.geometry.spacing_mm
    paths = fit_tubes(trace_centerlines(mask.array, spacing_mm), mask.array, spacing_mm)
    paths = grow_trees(paths, mask.array, spacing_mm, OWN_TREE, TRUNK_WIDTH)
    points_mm = mask.geometry.index_to_lps(paths.points_mm / spacing_mm)
    return build_tree([Forest(VESSEL, points_mm, paths.radius_mm, paths.parent)])


def _separated(
    labels: LabelVolume, mask: StructureMask, tree: VesselTree, kinds: TreeKinds, places: VeinPlaces
) -> SeparatedVeins:
    voxels = np.argwhere(mask.array)
    node, outside_mm = _nearest_wall(mask.geometry.index_to_lps(voxels[:, ::-1]), tree)
    of_branch = np.array([branch.structure.value for branch in tree.branches], np.uint8)
    values = np.where(outside_mm <= REACH_MM, of_branch[tree.branch[node]], VESSEL.value).astype(np.uint8)
    array = labels.array.copy()
    i, j, k = labels.geometry.place_of(mask.geometry).start
    array[tuple((voxels + np.array((k, j, i))).T)] = values
    named = (values == PORTAL_VEIN.value) | (values == HEPATIC_VEIN.value)
    message = "" if named.any() else "nothing tells which vessels are portal and which hepatic"
    found = LabelVolume(array, labels.geometry, labels.uid)
    return SeparatedVeins(found, tree, kinds.confidence, places.by_cava, message)


def _nearest_wall(points_mm: NDArray[np.float64], tree: VesselTree) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`(N,)` the node around which the ball of its vessel has the nearest surface, nearly, and how far outside it is.

    Points are lifted into a fourth dimension, in which narrow vessels lie further away than wide ones.
    """
    lift = np.sqrt(tree.radius_mm.max() ** 2 - tree.radius_mm**2)
    balls = cKDTree(np.column_stack([tree.points_mm, lift]))
    _, node = balls.query(np.column_stack([points_mm, np.zeros(len(points_mm))]))
    outside_mm = np.linalg.norm(points_mm - tree.points_mm[node], axis=1) - tree.radius_mm[node]
    return np.asarray(node, np.int64), outside_mm
