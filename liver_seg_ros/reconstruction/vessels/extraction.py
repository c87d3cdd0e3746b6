# SPDX-License-Identifier: Apache-2.0
"""From labels to the vessel tree: centerlines with radii, forks and generations."""

from __future__ import annotations

from liver_seg_ros.labels import LIVER_VESSELS
from liver_seg_ros.reconstruction.structure_masks import StructureMasks
from liver_seg_ros.reconstruction.vessels.branches import Forest, build_tree
from liver_seg_ros.reconstruction.vessels.centerlines import trace_centerlines
from liver_seg_ros.reconstruction.vessels.trees import grow_trees
from liver_seg_ros.reconstruction.vessels.tube_fit import fit_tubes
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume


def vessel_tree(labels: LabelVolume, masks: StructureMasks | None = None) -> VesselTree:
    """The vessels of the liver as trees of centerlines, in LPS mm.

    Each vessel row of the label table (`LIVER_VESSELS`) gives trees of its own: one for each connected part, or several
    where vessels touch whose widths and directions say that they are not one (see `trees`). A part that is no longer
    than wide gives none. A tree begins at its widest free end or, where none is nearly as wide as its widest vessel, in
    the joint at that.

    On the phantoms lines are a quarter of a voxel off on average, and radii 5 percent where lines run alongside
    (`benchmarks/vessel_tree.py`). Vessels less than two voxels wide are found where their voxels hang together.

    Args:
        labels: on any right-handed grid. Without a vessel the tree is empty.
        masks: of these labels, for who has them already.
    """
    masks = masks or StructureMasks(labels)
    forests = []
    for structure in LIVER_VESSELS:
        mask = masks.of(structure)
        if mask is None:
            continue
        spacing_mm = mask.geometry.spacing_mm
        paths = fit_tubes(trace_centerlines(mask.array, spacing_mm), mask.array, spacing_mm)
        paths = grow_trees(paths, mask.array, spacing_mm)
        points_mm = mask.geometry.index_to_lps(paths.points_mm / spacing_mm)
        forests.append(Forest(structure, points_mm, paths.radius_mm, paths.parent))
    return build_tree(forests)
