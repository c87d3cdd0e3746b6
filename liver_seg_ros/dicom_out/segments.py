# SPDX-License-Identifier: Apache-2.0
"""The segments that labels become: one per structure, and one per lesion, so that measurements can point at each.

The liver's segment is the organ, tumors and enclosed vessels included, as its volume is that of the organ. Segments may
overlap in DICOM; where they do, tumor lies over vessel over liver for whoever reads them as labels (`found_labels`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from highdicom import UID
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import TUMOR, Structure
from liver_seg_ros.reconstruction.masks import StructureMask, structure_mask
from liver_seg_ros.reconstruction.parts import lesions
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume

#: Lesions that have a segment of their own, the largest; smaller ones share one. Each costs the memory of a CT.
MOST_LESIONS = 20


@dataclass(frozen=True, eq=False)
class OutSegment:
    """One segment.

    Attributes:
        number: from 1.
        structure: the row of the label table.
        label: for people.
        masks: what it is made of.
        lesion: its number among the lesions, from 1; None for what is not one lesion.
        tracking_uid: by which it can be followed through objects.
    """

    number: int
    structure: Structure
    label: str
    masks: tuple[StructureMask, ...]
    lesion: int | None
    tracking_uid: str

    __repr__ = short_repr

    @property
    def tracking_id(self) -> str:
        """Its name as measurements and segments share it."""
        return f"{self.structure.name} {self.lesion}" if self.lesion else self.label

    def paint(self, array: NDArray[np.uint8], geometry: Geometry) -> None:
        """Set its voxels in `array` `[k, j, i]` on `geometry` to 1."""
        for mask in self.masks:
            here, there = geometry.shared_with(mask.geometry)
            array[here.slices] |= mask.array[there.slices]


def segments_of(labels: LabelVolume) -> tuple[OutSegment, ...]:
    """The segments of `labels`, in the order of the label table; lesions the largest first. None without a voxel."""
    return tuple(
        OutSegment(number, structure, label, masks, lesion, UID())
        for number, (structure, label, masks, lesion) in enumerate(_all(labels), 1)
    )


def segments_of_masks(masks: Iterable[StructureMask]) -> tuple[OutSegment, ...]:
    """One segment for each mask, called after its structure's row."""
    return tuple(
        OutSegment(number, mask.structure, mask.structure.title.capitalize(), (mask,), None, UID())
        for number, mask in enumerate(masks, 1)
    )


def _all(labels: LabelVolume) -> Iterator[tuple[Structure, str, tuple[StructureMask, ...], int | None]]:
    for structure in labels.structures():
        title = structure.title.capitalize()
        if structure != TUMOR:
            mask = structure_mask(labels, structure)
            if mask is not None:
                yield structure, title, (mask,), None
            continue
        parts = lesions(labels)
        for number in range(min(len(parts), MOST_LESIONS)):
            yield structure, f"{title} {number + 1}", (parts[number],), number + 1
        rest = tuple(parts[number] for number in range(MOST_LESIONS, len(parts)))
        if rest:
            yield structure, f"{title}s, the smaller ones", rest, None
