# SPDX-License-Identifier: Apache-2.0
"""The masks and parts of one segmentation, each made once for whoever needs them."""

from __future__ import annotations

from threading import Lock

from liver_seg_ros.geometry import Box
from liver_seg_ros.labels import LIVER, TUMOR, Structure
from liver_seg_ros.reconstruction.masks import StructureMask, labelled_box, structure_mask
from liver_seg_ros.reconstruction.parts import Parts, connected_parts
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume


class StructureMasks:
    """What `masks.structure_mask` and `parts.connected_parts` give, made when first asked for and kept.

    May be asked from several threads at once; masks of two structures are then made beside each other.

    Attributes:
        labels: the box of all labelled voxels.
    """

    __repr__ = short_repr

    def __init__(self, labels: LabelVolume) -> None:
        self.labels = labelled_box(labels)
        self._locks = {value: Lock() for value in self.labels.boxes}
        self._masks: dict[Structure, StructureMask | None] = {}
        self._parts: dict[Structure, Parts] = {}

    def of(self, structure: Structure) -> StructureMask | None:
        """The mask of a structure; None where it has no voxels."""
        if structure.value not in self._locks:
            return None
        with self._locks[structure.value]:
            if structure not in self._masks:
                self._masks[structure] = structure_mask(self.labels.crop(self._box(structure)), structure)
            return self._masks[structure]

    def parts(self, structure: Structure) -> Parts | None:
        """The connected parts of a structure, those of lesions kept; None where it has no voxels."""
        mask = self.of(structure)
        if mask is None:
            return None
        if structure != TUMOR:
            return connected_parts(mask)
        with self._locks[structure.value]:
            if structure not in self._parts:
                self._parts[structure] = connected_parts(mask)
            return self._parts[structure]

    def _box(self, structure: Structure) -> Box:
        """The box of all voxels that its mask is made of."""
        values = (LIVER.value, TUMOR.value) if structure == LIVER else (structure.value,)
        found = [box for value in values if (box := self.labels.boxes.get(value)) is not None]
        k, j, i = ((min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*found, strict=True))
        return Box((i[0], j[0], k[0]), (i[1], j[1], k[1]))
