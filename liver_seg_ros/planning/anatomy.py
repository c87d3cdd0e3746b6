"""`Anatomy`: what all questions of planning are asked of, made once for a patient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from liver_seg_ros.labels import Structure
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.skin import Skin, find_skin
from liver_seg_ros.reconstruction.clearance import DistanceField, distance_fields
from liver_seg_ros.reconstruction.pipeline import reconstruct
from liver_seg_ros.reconstruction.vessels import vessel_tree
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume, Volume


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A patient's structures as a planner needs them, LPS mm.

    Attributes:
        labels: the segmentation.
        meshes: the (visual) surfaces, one per structure that is there.
        tree: the vessels of the liver; empty where none are labelled.
        fields: distances to each of the meshes, in their order. A structure that is not labelled has none.
        skin: the body's surface; None where no CT was given.
    """

    labels: LabelVolume
    meshes: tuple[Mesh, ...]
    tree: VesselTree
    fields: dict[Structure, DistanceField]
    skin: Skin | None = None


def prepare_anatomy(
    labels: LabelVolume,
    meshes: Iterable[Mesh] | None = None,
    tree: VesselTree | None = None,
    ct: Volume | None = None,
) -> Anatomy:
    """What planning needs of a segmentation: about a third of a second per structure beyond meshes and tree.

    Args:
        labels: on any right-handed grid; also without any label, which leaves nothing to keep clear of.
        meshes: the surfaces that `reconstruct` made of `labels`; made here where None.
        tree: what `vessel_tree` made of `labels`; made here where None.
        ct: gives the skin.

    Raises:
        InputError: the CT shows no body (`find_skin`).
    """
    surfaces = reconstruct(labels).meshes if meshes is None else tuple(meshes)
    return Anatomy(
        labels,
        surfaces,
        vessel_tree(labels) if tree is None else tree,
        distance_fields(surfaces),
        None if ct is None else find_skin(ct),
    )
