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
        inner: `(K, J, I)` bool on the coarse grid, a part of `mask`: where most of what is found will be.
        margin_mm: how much of the CT a network is shown around `inner`; around `mask`, half of it.
    """

    box: Box
    mask: NDArray[np.bool_]
    coarse: Geometry
    geometry: Geometry
    inner: NDArray[np.bool_] | None = None
    margin_mm: float = 0.0

    __repr__ = short_repr

    @property
    def shown(self) -> list[tuple[NDArray[np.bool_], float]]:
        """What a network is shown: masks on the coarse grid, the first of them `mask`, and how much around each, mm."""
        rest = [] if self.inner is None else [(self.inner, self.margin_mm)]
        return [(self.mask, self.margin_mm / 2), *rest]

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

    def borders_on(self, grid: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Along `(k, j, i)` where the coarse voxels begin and the last one ends, in voxels from the border of `grid`.

        The axes of `grid` must point as the CT's do.
        """
        k, j, i = (self._borders_along(axis, grid) for axis in (2, 1, 0))
        return k, j, i

    def _borders_along(self, axis: int, grid: Geometry) -> NDArray[np.float64]:
        points = np.zeros((self.coarse.size[axis] + 1, 3))
        points[:, axis] = np.arange(len(points)) - 0.5
        along: NDArray[np.float64] = grid.lps_to_index(self.coarse.index_to_lps(points))[:, axis] + 0.5
        return along
