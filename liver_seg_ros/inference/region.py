# SPDX-License-Identifier: Apache-2.0
"""What of a CT is asked about: the voxels of a box that lie in a coarse mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class Region:
    """Some voxels of a CT. A voxel belongs to the coarse one that its center lies in.

    Attributes:
        box: on the CT's grid; holds all voxels of the region.
        mask: `(K, J, I)` bool on the coarse grid.
        coarse: that grid, over the CT's extent.
        geometry: the CT's grid.
    """

    box: Box
    mask: NDArray[np.bool_]
    coarse: Geometry
    geometry: Geometry

    __repr__ = short_repr

    def slices(self) -> Iterator[NDArray[np.bool_]]:
        """Slice by slice of `box`, `(J, I)` bool on the CT's voxels: those of the region."""
        k, j, i = (self.coarse_index(axis) for axis in (2, 1, 0))
        for coarse_k, slices in groupby(k.tolist()):
            inside = self.mask[coarse_k][np.ix_(j, i)]
            for _ in slices:
                yield inside

    def holds(self, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """`(N,)` bool: whether the points `(N, 3)`, LPS mm, lie in the region."""
        index = np.rint(self.coarse.lps_to_index(points_mm)).astype(np.int64)
        i, j, k = np.clip(index, 0, np.array(self.coarse.size) - 1).T
        within = np.rint(self.geometry.lps_to_index(points_mm)).astype(np.int64)
        in_box = np.all((within >= self.box.start) & (within < self.box.stop), axis=1)
        held: NDArray[np.bool_] = in_box & self.mask[k, j, i]
        return held

    def coarse_index(self, axis: int) -> NDArray[np.intp]:
        """Of each of the box's voxels along an index axis, the coarse voxel that it lies in."""
        centers = np.arange(self.box.start[axis], self.box.stop[axis]) + 0.5
        per_coarse = self.coarse.spacing_mm[axis] / self.geometry.spacing_mm[axis]
        return np.minimum((centers / per_coarse).astype(np.intp), self.coarse.size[axis] - 1)
