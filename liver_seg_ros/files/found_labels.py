# SPDX-License-Identifier: Apache-2.0
"""Labels that some tool left, in terms of the label table: what was found, and what it was taken for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import BACKGROUND, LIVER, LIVER_VESSELS, STRUCTURES, TUMOR, Structure
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume

#: Which structure a voxel is where masks overlap: the one whose last place here is the last. A tumor in a vessel is
#: tumor (docs/decisions.md), a vessel in the liver vessel; what touches the liver is more often drawn too small.
_LAST_WINS = (*STRUCTURES, *LIVER_VESSELS, TUMOR)  # the liver is the first
_RANK = np.zeros(256, np.uint8)
for _rank, _structure in enumerate(_LAST_WINS, 1):
    _RANK[_structure.value] = _rank


class UnknownLabelsError(InputError):
    """Labels of which nobody says what they mean; the message says how to."""


@dataclass(frozen=True, eq=False)
class FoundLabels:
    """Labels that were read, whoever made them.

    Attributes:
        labels: in terms of the label table.
        source: whose numbers or names they are, for people.
        taken_for: what each label of the source is here, by what the source calls it; None where it is left out.
        structures: what the source speaks about, found in this patient or not.
        organ: `(K, J, I)` bool, liver with the tumors and vessels in it, where masks that overlap say so; else None.
    """

    labels: LabelVolume
    source: str
    taken_for: Mapping[str, Structure | None]
    structures: tuple[Structure, ...]
    organ: NDArray[np.bool_] | None = None

    __repr__ = short_repr


class Canvas:
    """A label array onto which masks are painted, in any order; overlaps are settled by what the structures are.

    Attributes:
        array: `(K, J, I)` uint8 values of the label table.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.array: NDArray[np.uint8] = np.full(shape, BACKGROUND, np.uint8)
        self._organ: NDArray[np.bool_] = np.zeros(shape, bool)
        self._has_liver = False

    @property
    def organ(self) -> NDArray[np.bool_] | None:
        """`(K, J, I)` bool: where liver or tumor was painted, whatever lies over it; None where no liver was."""
        return self._organ if self._has_liver else None

    def paint(self, structure: Structure, where: NDArray[np.bool_] | tuple[NDArray[np.intp], ...]) -> None:
        """Paint the voxels of a mask `(K, J, I)`, or those at indices `(k, j, i)`."""
        there = self.array[where]
        self.array[where] = np.where(_RANK[there] < _RANK[structure.value], np.uint8(structure.value), there)
        if structure in (LIVER, TUMOR):
            self._organ[where] = True
            self._has_liver |= structure == LIVER

    def rename_outside(self, names: Mapping[Structure, Structure]) -> None:
        """Make each structure in `names` another one where it lies outside of the organ, if a liver was painted."""
        for inside, outside in names.items() if self._has_liver else ():
            self.array[(self.array == inside.value) & ~self._organ] = outside.value
