# SPDX-License-Identifier: Apache-2.0
"""What a needle keeps clear of because a coarse map of the surroundings shows it: organs that nobody labelled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box
from liver_seg_ros.labels import BACKGROUND, LIVER, STRUCTURES, TUMOR, VESSEL, Structure
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.plain import plain
from liver_seg_ros.planning.air import Mask
from liver_seg_ros.planning.nearest_labels import labels_at
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries
from liver_seg_ros.reconstruction.meshes.surfaces import extract_surface, surface_to_mesh
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume

#: What the map of a network is worth.
WORTH = "A coarse network's map: it may miss organs and is off by some millimetres."

#: Labels know better where these are.
_NEVER = (LIVER, TUMOR, VESSEL)


@dataclass(frozen=True, eq=False)
class ByMap:
    """What was taken from a map of the surroundings.

    Attributes:
        meshes: the surfaces, LPS mm; none of what is labelled or looked for by HU.
        why_not: why there is no map; empty where there is one.
    """

    meshes: tuple[Mesh, ...] = ()
    why_not: str = ""

    __repr__ = short_repr

    @property
    def found(self) -> tuple[Structure, ...]:
        """The structures of `meshes`."""
        return tuple(mesh.structure for mesh in self.meshes)

    @property
    def in_words(self) -> str:
        """One line that says what needles are kept clear of by the map, and what that is worth; empty without one."""
        if self.why_not:
            return ""
        names = ", ".join(structure.title for structure in self.found)
        return f"Kept clear of by the map of the surroundings: {names or 'nothing'}. {WORTH}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; structures by name."""
        return {"found": plain(self.found), "why_not": self.why_not}


NO_MAP = ByMap(why_not="no map was given")


def find_by_map(surroundings: LabelVolume, labels: LabelVolume, known: Collection[Structure]) -> ByMap:
    """The organs of a map, but for what is `known` otherwise. Nothing labelled is part of them.

    Args:
        surroundings: values of the label table on any grid, of the same CT as `labels`.
        labels: on any grid; where they say something, the map does not count.
        known: structures whose place is known better.

    Raises:
        InputError: the two are nowhere in the same place.
    """
    check_same_place(surroundings, labels)
    values = surroundings.array.copy()
    values[labels_at(labels, surroundings.geometry) != BACKGROUND] = BACKGROUND
    return _surfaces(values, surroundings, known)


def find_by_map_around(surroundings: LabelVolume, meshes: Sequence[Mesh]) -> ByMap:
    """The organs of a map, but for those that have a mesh. Nothing inside the liver's mesh is part of them.

    For who has surfaces and no labels.
    """
    values = surroundings.array.copy()
    for mesh in meshes:
        if mesh.structure == LIVER:
            values[_inside(mesh, surroundings)] = BACKGROUND
    return _surfaces(values, surroundings, {mesh.structure for mesh in meshes})


def _inside(mesh: Mesh, grid: LabelVolume) -> Mask:
    """`(K, J, I)` the voxels of a grid that are labelled and have their center inside a closed surface."""
    inside = np.zeros(grid.array.shape, bool)
    index = np.argwhere(grid.array != BACKGROUND)
    places = grid.geometry.index_to_lps(index[:, ::-1])
    near = ((places >= mesh.vertices_mm.min(axis=0)) & (places <= mesh.vertices_mm.max(axis=0))).all(axis=1)
    index = index[near]
    inside[tuple(index[SurfaceQueries(mesh).signed_distance(places[near]) < 0].T)] = True
    return inside


def _surfaces(values: NDArray[np.uint8], grid: LabelVolume, known: Collection[Structure]) -> ByMap:
    wanted = [s for s in STRUCTURES if s not in _NEVER and s not in known and (values == s.value).any()]
    meshes = (surface_of(structure, values == structure.value, grid) for structure in wanted)
    return ByMap(tuple(mesh for mesh in meshes if mesh is not None))


def check_same_place(surroundings: LabelVolume, labels: LabelVolume) -> None:
    """Raise `InputError` where a map is of another place than the labels."""
    everywhere = LabelVolume(np.ones_like(surroundings.array), surroundings.geometry, surroundings.uid)
    where = labels_at(everywhere, labels.geometry.strided((8, 8, 8)))
    if not where.any():
        raise InputError(
            f"the map of the surroundings {surroundings.uid} and the labels {labels.uid} do not meet anywhere; "
            "give the map of this CT"
        )


def surface_of(structure: Structure, mask: Mask, grid: LabelVolume) -> Mesh | None:
    """The surface of `mask` `(K, J, I)` on the grid of a volume; None where it is empty."""
    box = Box.around(mask)
    if box is None:
        return None
    padded = StructureMask.padded(structure, mask[box.slices], grid.geometry.crop(box))
    return surface_to_mesh(extract_surface(padded), padded)
