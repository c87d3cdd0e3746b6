# SPDX-License-Identifier: Apache-2.0
"""`Anatomy`: the structures that all questions of planning refer to, prepared once per patient."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import Structure
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.body import Body, find_body
from liver_seg_ros.planning.clearance import DistanceField, distance_fields
from liver_seg_ros.planning.obstacles_by_hu import ByHu, find_by_hu
from liver_seg_ros.planning.obstacles_by_map import NO_MAP, ByMap, find_by_map
from liver_seg_ros.planning.skin import Skin, find_skin
from liver_seg_ros.reconstruction.pipeline import Reconstruction, ReconstructionOptions, reconstruct
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume, Volume

NOT_LOOKED_FOR = ByHu(why_not="that was not asked for")


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A patient's structures as a planner needs them, LPS mm.

    Attributes:
        labels: the segmentation.
        meshes: the (visual) surfaces, one per structure that is there.
        tree: the vessels of the liver; empty where none are labelled.
        fields: distances to each of the meshes, in their order, then to what was found by HU and by the map. A
            structure that is neither labelled nor found has none.
        skin: the body's surface; None where no CT was given or it was not asked for.
        by_hu: what is not labelled and was found in the CT.
        by_map: what is neither and was found in a map of the surroundings.
    """

    labels: LabelVolume
    meshes: tuple[Mesh, ...]
    tree: VesselTree
    fields: dict[Structure, DistanceField]
    skin: Skin | None = None
    by_hu: ByHu = NOT_LOOKED_FOR
    by_map: ByMap = NO_MAP

    def __repr__(self) -> str:
        names = ", ".join(mesh.structure.name for mesh in self.meshes)
        by_hu = "".join(f", {structure.name} by HU" for structure in self.by_hu.found)
        by_hu += "".join(f", {structure.name} by map" for structure in self.by_map.found)
        return f"Anatomy({names or 'nothing'}{by_hu}; {self.tree}; {'skin' if self.skin else 'no skin'})"


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """What is known of a patient beside the labels; the fields are those of `Anatomy`."""

    skin: Skin | None = None
    by_hu: ByHu = NOT_LOOKED_FOR
    by_map: ByMap = NO_MAP

    __repr__ = short_repr


def prepare_anatomy(
    labels: LabelVolume,
    reconstruction: Reconstruction | None = None,
    ct: Volume | None = None,
    *,
    skin: bool = True,
    by_hu: bool = True,
    surroundings: LabelVolume | None = None,
    unlabelled: Unlabelled | None = None,
) -> Anatomy:
    """What planning needs of a segmentation: the structures' surfaces, and what the CT shows around them.

    Args:
        labels: on any right-handed grid; also without any label, which leaves nothing to keep clear of.
        reconstruction: what `reconstruct` made of `labels`, for its meshes and vessel tree; made here where None.
        ct, skin, by_hu, surroundings: see `find_unlabelled`.
        unlabelled: what that found, for who has asked it already; asked here where None.

    Raises:
        InputError: as `find_unlabelled`, or as `reconstruct`.
    """

    def look() -> Unlabelled:
        return unlabelled or find_unlabelled(labels, ct, skin=skin, by_hu=by_hu, surroundings=surroundings)

    with ThreadPoolExecutor(1) as pool:  # both wait for what one thread alone can do
        looking = pool.submit(look)
        result = reconstruction or reconstruct(labels, ReconstructionOptions(collision_margin_mm=0))
        found = looking.result()
    fields = distance_fields((*result.meshes, *found.by_hu.meshes, *found.by_map.meshes))
    return Anatomy(labels, result.meshes, result.tree, fields, found.skin, found.by_hu, found.by_map)


def find_unlabelled(
    labels: LabelVolume,
    ct: Volume | None = None,
    *,
    skin: bool = True,
    by_hu: bool = True,
    surroundings: LabelVolume | None = None,
) -> Unlabelled:
    """What no label says: some seconds for a whole CT. Needs no surfaces, so that they may be made meanwhile.

    Args:
        labels: of the CT.
        ct: on the points of the labels; gives the skin, and bone, lung and gas by their HU.
        skin: whether the skin is wanted.
        by_hu: whether bone and lung are looked for in the CT where they are not labelled, and gas.
        surroundings: a map of what surrounds the liver, on any grid: it shows organs that are neither labelled nor
            looked for by HU, and adds to bone and lung by HU.

    Raises:
        InputError: the CT shows no body (`find_body`), and the skin is wanted; or the labels are on other points than
            the CT, and something is to be found by HU; or the map is of another place.
    """
    body, why_not = _body(ct, skin, by_hu)
    found = ByHu(why_not=why_not)
    if ct is not None and body is not None and by_hu:
        found = find_by_hu(ct, labels, body, surroundings)
    mapped = NO_MAP
    if surroundings is not None:
        mapped = find_by_map(surroundings, labels, {*labels.structures(), *found.searched})
    surface = find_skin(ct, body=body) if ct is not None and skin else None
    return Unlabelled(surface, found, mapped)


def _body(ct: Volume | None, skin: bool, by_hu: bool) -> tuple[Body | None, str]:
    """The body where it is needed, and why nothing can be found by HU in it; empty where something can."""
    if ct is None:
        return None, "that needs the CT"
    if not skin and not by_hu:
        return None, "as asked"
    try:
        return find_body(ct), "" if by_hu else "as asked"
    except InputError:
        if skin:
            raise
        return None, "the CT shows no body"
