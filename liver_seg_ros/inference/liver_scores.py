# SPDX-License-Identifier: Apache-2.0
"""The liver as the localizer has it, for fine networks that give tumors or vessels and no liver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.resampling import resampled_slices
from liver_seg_ros.labels import BACKGROUND
from liver_seg_ros.short_repr import short_repr

#: What float16 holds with room to spare; a lead this large decides whatever it is interpolated with.
_LARGEST = 1e4


@dataclass(frozen=True, eq=False)
class LiverScores:
    """By how much a network prefers the liver, on its own grid: what is interpolated is above 0 inside.

    Attributes:
        lead: `(K, J, I)` float16: the best score of what is not background, less that of the background.
        grid: the network's.
    """

    lead: NDArray[np.float16]
    grid: Geometry

    __repr__ = short_repr

    def inside(self, target: Geometry) -> Iterator[NDArray[np.bool_]]:
        """The slices `(J, I)` of `target`, whose axes point as the grid's do: which voxels are liver."""
        for lead in resampled_slices(lambda k: self.lead[k], self.grid, target):
            yield lead > 0

    def only(self, liver: NDArray[np.bool_]) -> LiverScores:
        """The same, where nothing counts as liver but the voxels `liver` `(K, J, I)` of the grid."""
        return LiverScores(np.where(liver, self.lead, -np.abs(self.lead)), self.grid)


def lead_of(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(J, I)`: `LiverScores.lead` of a slice's `scores` `(C, J, I)`."""
    organ = scores[BACKGROUND + 1 :].max(axis=0)
    lead: NDArray[np.float32] = np.clip(organ - scores[BACKGROUND], -_LARGEST, _LARGEST)
    return lead
