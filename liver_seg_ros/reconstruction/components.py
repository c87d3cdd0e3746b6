# SPDX-License-Identifier: Apache-2.0
"""The connected components of voxels and their boxes, as arrays: noise has millions of them.

Components are connected through faces, edges and corners of voxels (26-neighborhood).
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box
from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class Components:
    """Components in the order of their numbers, which begin with 1.

    Attributes:
        numbers: `(K, J, I)`: which component a voxel belongs to, 0 for none.
        voxels: `(P,)` of each.
        starts, stops: `(P, 3)`: the box of each, `(i, j, k)`, half-open.
    """

    numbers: NDArray[np.unsignedinteger]
    voxels: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.voxels)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """`(P, 3)`: voxels of each box along `(i, j, k)`."""
        return self.stops - self.starts

    def box(self, place: int) -> Box:
        """The box of the component number `place` + 1."""
        (i, j, k), (to_i, to_j, to_k) = self.starts[place].tolist(), self.stops[place].tolist()
        return Box((i, j, k), (to_i, to_j, to_k))


def connected_components(array: NDArray[np.bool_]) -> Components:
    """The components of `array` `[k, j, i]`."""
    numbers = cc3d.connected_components(array, connectivity=26)
    statistics = cc3d.statistics(numbers, no_slice_conversion=True)
    boxes = statistics["bounding_boxes"][1:].astype(np.int64).reshape(-1, 3, 2)[:, ::-1]  # (P, 3, 2): first and last
    return Components(numbers, statistics["voxel_counts"][1:].astype(np.int64), boxes[..., 0], boxes[..., 1] + 1)


def affordable(sizes: NDArray[np.int64], most_parts: int, most_voxels: int) -> int:
    """How many boxes, of these `(P, 3)` sizes in this order, may be looked at one by one.

    No more than `most_parts`, nor than hold `most_voxels` together. The parts of an organ lie beside each other, and
    their boxes hold little more than its own; those of noise may each reach through all of it.
    """
    return min(most_parts, int(np.searchsorted(np.cumsum(sizes.prod(axis=1)), most_voxels, side="right")))
