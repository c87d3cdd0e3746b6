# SPDX-License-Identifier: Apache-2.0
"""What a needle keeps clear of though no label says so: bone, lung and gas, which a CT shows by their HU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.labels import BONE, LUNG, Structure
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.plain import plain
from liver_seg_ros.planning.air import Mask
from liver_seg_ros.planning.air_by_hu import GAS, find_air
from liver_seg_ros.planning.body import Body
from liver_seg_ros.planning.bone_by_hu import find_bone, find_cartilage
from liver_seg_ros.planning.coarse_ct import coarse_ct
from liver_seg_ros.planning.nearest_labels import labels_at
from liver_seg_ros.reconstruction.masks import PAD, StructureMask
from liver_seg_ros.reconstruction.meshes.surfaces import extract_surface, surface_to_mesh
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume, Volume

#: What is found by HU, in the order in which it is told.
STRUCTURES_BY_HU = (BONE, LUNG, GAS)

#: What finding by HU is worth.
WORTH = "What is as bright counts as bone; faint bone and cartilage may be missed."


@dataclass(frozen=True, eq=False)
class ByHu:
    """What was found of `STRUCTURES_BY_HU` in a CT.

    Attributes:
        meshes: the surfaces, LPS mm; none of what is labelled, nor of what is not there.
        searched: what is not labelled and was looked for.
        why_not: why nothing was looked for; empty where something was.
    """

    meshes: tuple[Mesh, ...] = ()
    searched: tuple[Structure, ...] = ()
    why_not: str = ""

    __repr__ = short_repr

    @property
    def found(self) -> tuple[Structure, ...]:
        """The structures of `meshes`."""
        return tuple(mesh.structure for mesh in self.meshes)

    @property
    def in_words(self) -> str:
        """One line that says what needles are kept clear of without a label, and what that is worth."""
        if self.why_not:
            return f"Bone, lung and gas are not looked for by HU: {self.why_not}."
        found, lost = (
            ", ".join(structure.title for structure in self.searched if (structure in self.found) is there)
            for there in (True, False)
        )
        kept = f"Kept clear of by HU, without labels: {found}. {WORTH}" if found else ""
        return " ".join(line for line in (kept, f"Looked for by HU and not found: {lost}." if lost else "") if line)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; structures by name."""
        return {"searched": plain(self.searched), "found": plain(self.found), "why_not": self.why_not}


def find_by_hu(ct: Volume, labels: LabelVolume, body: Body, surroundings: LabelVolume | None = None) -> ByHu:
    """Lung, bone and gas in a CT, but for lung and bone where they are labelled: then the labels say where they are.

    What is found does not reach into anything labelled, but for what smoothing moves it: less than a block of
    `coarse_ct`.

    Args:
        ct: in any orientation.
        labels: on the points of the CT, in any order.
        body: what `find_body` found in this CT.
        surroundings: a map in which bone and lung are too: what either of both shows counts. None without one.

    Raises:
        InputError: the labels are on other points.
    """
    coarse = coarse_ct(ct, labels, body)
    labelled = labels.structures()
    searched = tuple(structure for structure in STRUCTURES_BY_HU if structure not in labelled)
    lung, gas = find_air(coarse)
    masks = {LUNG: lung, GAS: gas}
    if BONE in searched:
        masks[BONE] = find_bone(coarse)
        masks[BONE] |= find_cartilage(coarse, masks[BONE])
    if surroundings is not None:
        value = labels_at(surroundings, coarse.geometry)
        for structure in (BONE, LUNG):
            if structure in searched:
                masks[structure] = masks[structure] | ((value == structure.value) & ~coarse.labelled)
    meshes = (_mesh(structure, masks[structure], coarse.geometry) for structure in searched)
    return ByHu(tuple(mesh for mesh in meshes if mesh is not None), searched)


def _mesh(structure: Structure, found: Mask, geometry: Geometry) -> Mesh | None:
    box = Box.around(found)
    if box is None:
        return None
    padded = np.pad(found[box.slices], PAD)
    mask = StructureMask(structure, padded, geometry.crop(box).padded((PAD, PAD, PAD)))
    return surface_to_mesh(extract_surface(mask), mask)
