# SPDX-License-Identifier: Apache-2.0
"""Portal territories of the liver, like Couinaud's segments: each voxel belongs to the nearest portal branch.

Some branches are chosen as stems. Each voxel of the organ belongs to the branch of a stem, or beyond it, whose wall is
nearest, and with that to the stem (nearest-neighbor approximation of Selle, Preim, Schenk and Peitgen 2002, Analysis of
vasculature for liver surgical planning, IEEE TMI 21:1344). What lies next to the trunk itself so belongs to what the
trunk divides into, and what lies behind a fork to the thicker branch. A surgeon picks the stems that are to be cut;
`stems_of_generation` takes all of one generation: 1 gives the right and the left liver, 2 and 3 sectors and segments,
as far as the tree forks in the usual way. A tree that gives off many small vessels first has other generations than the
anatomist's.

Voxels finer than `LATTICE_MM` are taken in blocks up to that edge, each to the branch nearest to the block's center. So
the wall of the branch that a voxel is given to is never further than the nearest one by more than the block's diagonal,
3.5 mm; a planner's territories are not as exact as that. The liver's own border stays that of its voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, PORTAL_VEIN, TUMOR, Structure
from liver_seg_ros.plain import plain
from liver_seg_ros.planning.nearest_vessel import nearest_vessel
from liver_seg_ros.reconstruction.masks import StructureMask, structure_mask
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume

#: Largest edge of a block of voxels that are looked at together.
LATTICE_MM = 2.0
#: What a voxel of a label file can tell apart, without its background.
MOST_LABELS = 255


@dataclass(frozen=True)
class Territory:
    """The part of the liver that one portal branch supplies.

    Attributes:
        branch: the stem, by its number in `VesselTree.branches`.
        structure: the row of the label table of the branch.
        generation: of the branch.
        volume_ml: of the organ's voxels in it, tumors and enclosed vessels included.
        tumor_ml: of the tumor's voxels among them.
    """

    branch: int
    structure: Structure
    generation: int
    volume_ml: float
    tumor_ml: float


@dataclass(frozen=True, eq=False)
class LiverTerritories:
    """The liver divided into territories.

    Attributes:
        array: `(K, J, I)` int16, place in `territories` of each voxel of the organ; -1 outside the organ, and inside
            it where no branch is known.
        geometry: the grid of `array`, a box around the organ.
        territories: largest volume first.
        unassigned_ml: of the organ where no branch is known: all of it or nothing.
        tumor_ml: of the tumor in all of the organ.
    """

    array: NDArray[np.int16]
    geometry: Geometry
    territories: tuple[Territory, ...]
    unassigned_ml: float
    tumor_ml: float

    __repr__ = short_repr

    def labels_on(self, geometry: Geometry) -> NDArray[np.uint8]:
        """`(K, J, I)` on the grid of the labels that were divided: each voxel's place in `territories` from 1, else 0.

        Raises:
            InputError: more territories than a label file has values.
        """
        if len(self.territories) > MOST_LABELS:
            raise InputError(
                f"{len(self.territories)} territories are more than the {MOST_LABELS} labels of a file; take a lower "
                "generation or fewer stems"
            )
        values = np.zeros(geometry.shape, np.uint8)
        if self.array.size:
            there, own = geometry.shared_with(self.geometry)
            values[there.slices] = self.array[own.slices] + 1
        return values

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the voxels."""
        return {
            "territories": plain(self.territories),
            "unassigned_ml": self.unassigned_ml,
            "tumor_ml": self.tumor_ml,
        }


def portal_territories(labels: LabelVolume, tree: VesselTree, stems: Sequence[int]) -> LiverTerritories:
    """The organ divided among branches of the portal tree.

    Args:
        labels: where the liver is; several livers are divided as one, without a liver nothing is.
        tree: the vessels of the same CT.
        stems: numbers of the branches that give the territories; where one lies beyond another, its part is taken out
            of the other's. Without any the whole liver is unassigned.

    Raises:
        InputError: a branch that is not there.
    """
    unknown = set(stems) - set(range(len(tree.branches)))
    if unknown:
        raise InputError(f"branch {min(unknown)} is not there: the tree has {len(tree.branches)}, numbered from 0")
    organ = structure_mask(labels, LIVER)
    if organ is None:
        return LiverTerritories(np.empty((0, 0, 0), np.int16), labels.geometry, (), 0.0, 0.0)
    branch = _nearest_stem(organ, tree, _stem_of_branch(tree, stems))
    branch[~organ.array] = -1
    tumor = _same_grid(labels, organ) == TUMOR.value

    ml = organ.geometry.voxel_volume_ml
    volumes_ml = np.bincount(branch[branch >= 0], minlength=len(tree.branches)) * ml
    tumors_ml = np.bincount(branch[(branch >= 0) & tumor], minlength=len(tree.branches)) * ml
    order = [number for number in np.argsort(-volumes_ml, kind="stable").tolist() if volumes_ml[number] > 0]
    place = np.full(len(tree.branches) + 1, -1, np.int16)  # its last row is that of no branch
    place[order] = np.arange(len(order))
    territories = tuple(
        Territory(
            number,
            tree.branches[number].structure,
            tree.branches[number].generation,
            float(volumes_ml[number]),
            float(tumors_ml[number]),
        )
        for number in order
    )
    organ_ml = np.count_nonzero(organ.array) * ml
    return LiverTerritories(
        place[branch],
        organ.geometry,
        territories,
        0.0 if territories else float(organ_ml),
        float(np.count_nonzero(tumor & organ.array) * ml),
    )


def portal_trees(tree: VesselTree) -> tuple[int, ...]:
    """Numbers of the trees that the labels say are portal; all trees where they call none so."""
    portal = sorted({branch.tree for branch in tree.branches if branch.structure == PORTAL_VEIN})
    return tuple(portal) or tuple(sorted({branch.tree for branch in tree.branches}))


def are_portal(tree: VesselTree, stems: Sequence[int]) -> bool:
    """Whether the labels say of all these branches that they are portal; False where there are none."""
    return bool(stems) and all(tree.branches[stem].structure == PORTAL_VEIN for stem in stems)


def stems_of_generation(tree: VesselTree, generation: int, trees: Sequence[int] | None = None) -> tuple[int, ...]:
    """Numbers of the branches of one generation, and of those that end before it; empty without a vessel.

    Args:
        tree: the vessels.
        generation: 0 for one stem to each tree.
        trees: numbers of the portal trees; those of `portal_trees` where None.

    Raises:
        InputError: a negative generation, or a tree that is not there.
    """
    if generation < 0:
        raise InputError(f"generation {generation} of branches: give 0 for the trunk or more")
    unknown = set(trees or ()) - {branch.tree for branch in tree.branches}
    if unknown:
        there = len({branch.tree for branch in tree.branches})
        raise InputError(f"tree {min(unknown)} is not there: the vessels make up {there}, numbered from 0")
    chosen = portal_trees(tree) if trees is None else trees
    forks_on = {branch.parent for branch in tree.branches}
    return tuple(
        branch.number
        for branch in tree.branches
        if branch.tree in chosen
        and (branch.generation == generation or (branch.generation < generation and branch.number not in forks_on))
    )


def _stem_of_branch(tree: VesselTree, stems: Sequence[int]) -> NDArray[np.int64]:
    """`(B,)` the stem that each branch comes from, the nearest upstream; -1 where it comes from none."""
    stem = np.full(len(tree.branches), -1)
    for branch in tree.branches:  # a parent comes before its children
        if branch.number in stems:
            stem[branch.number] = branch.number
        elif branch.parent >= 0:
            stem[branch.number] = stem[branch.parent]
    return stem


def _nearest_stem(organ: StructureMask, tree: VesselTree, stem: NDArray[np.int64]) -> NDArray[np.int32]:
    """`(K, J, I)` number of the stem that each voxel's block belongs to, -1 where there is none."""
    block = np.maximum(np.array(LATTICE_MM) // organ.geometry.spacing_mm, 1).astype(int)[::-1]  # (k, j, i)
    shape = np.array(organ.array.shape)
    count = -(-shape // block)
    padded = np.pad(organ.array, [(0, extra) for extra in count * block - shape])
    k, j, i = count
    in_block = padded.reshape(k, block[0], j, block[1], i, block[2]).any(axis=(1, 3, 5))
    suppliers = np.flatnonzero(stem >= 0)
    of_block = np.full(count, -1, np.int32)
    if len(suppliers):
        blocks = organ.geometry.in_blocks(tuple(block[::-1].tolist()))
        node = nearest_vessel(blocks.index_to_lps(np.argwhere(in_block)[:, ::-1]), tree, suppliers).node
        of_block[in_block] = stem[tree.branch[node]]
    for axis in range(3):
        of_block = np.repeat(of_block, block[axis], axis=axis)
    return of_block[tuple(slice(n) for n in shape)]


def _same_grid(labels: LabelVolume, organ: StructureMask) -> NDArray[np.uint8]:
    """The labels on the organ's grid, 0 in its padding."""
    values = np.zeros(organ.array.shape, np.uint8)
    in_scan, own = labels.geometry.shared_with(organ.geometry)
    values[own.slices] = labels.array[in_scan.slices]
    return values
