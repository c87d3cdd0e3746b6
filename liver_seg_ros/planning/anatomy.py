"""`Anatomy`: what all questions of planning are asked of, made once for a patient."""

from __future__ import annotations

from dataclasses import dataclass

from liver_seg_ros.labels import Structure
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.clearance import DistanceField, distance_fields
from liver_seg_ros.planning.skin import Skin, find_skin
from liver_seg_ros.reconstruction.pipeline import Reconstruction, reconstruct
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

    def __repr__(self) -> str:
        names = ", ".join(mesh.structure.name for mesh in self.meshes)
        return f"Anatomy({names or 'nothing'}; {self.tree}; {'skin' if self.skin else 'no skin'})"


def prepare_anatomy(
    labels: LabelVolume, reconstruction: Reconstruction | None = None, ct: Volume | None = None
) -> Anatomy:
    """What planning needs of a segmentation: half a second for each structure, and one or two for the skin.

    Args:
        labels: on any right-handed grid; also without any label, which leaves nothing to keep clear of.
        reconstruction: what `reconstruct` made of `labels`, for its meshes and vessel tree; made here where None.
        ct: gives the skin.

    Raises:
        InputError: the CT shows no body (`find_skin`).
    """
    result = reconstruction or reconstruct(labels)
    skin = None if ct is None else find_skin(ct)
    return Anatomy(labels, result.meshes, result.tree, distance_fields(result.meshes), skin)
