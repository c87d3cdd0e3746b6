# SPDX-License-Identifier: Apache-2.0
"""Where the liver is in a CT, as far as a coarse network can tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil, floor

import edt
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class LiverPlace:
    """A region of a CT that holds the liver with a margin all around it.

    The box is what the fine network looks at. It also holds organs that look like liver (a spleen beside a long left
    lobe), which only the coarse network, seeing all of the CT, tells apart: so nothing counts beyond `near`. The box
    is padded by twice as much, because the fine network needs to see what is around the liver. Where liver is found at
    the edge of what is near, the coarse network saw too little of it: then `widened` looks further there.

    Attributes:
        box: on the CT's grid.
        coarse_near: `(K, J, I)` bool on the network's grid over the CT's extent: at most half the box's margin away.
        coarse: that grid.
        geometry: the CT's grid.
        margin_mm: the box's margin.
    """

    box: Box
    coarse_near: NDArray[np.bool_]
    coarse: Geometry
    geometry: Geometry
    margin_mm: float

    __repr__ = short_repr

    def near_slices(self) -> Iterator[NDArray[np.bool_]]:
        """Slice by slice of `box`, `(J, I)` bool on the CT's voxels: those near the liver."""
        k, j, i = (self._coarse_index(axis) for axis in (2, 1, 0))
        for coarse_k, slices in groupby(k.tolist()):
            near = self.coarse_near[coarse_k][np.ix_(j, i)]
            for _ in slices:
                yield near

    def touched_by(self, organ: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where an organ found in the box ends because nothing counts any further.

        Args:
            organ: `(K, J, I)` bool on the voxels of `box`.

        Returns:
            `(K, J, I)` bool on the coarse grid: where the organ borders on what is not near. The CT's own border is no
            edge.
        """
        edge = self.coarse_near & _beside(~self.coarse_near)
        touched = self._holding(organ) & edge
        if not touched.any():  # the cheap question, as most livers end well within
            return touched
        near = np.stack(list(self.near_slices()))
        return self._holding(organ & near & _beside(~near)) & edge

    def _holding(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """`(K, J, I)` bool on the coarse grid: its voxels that hold one of `mask`, `(K, J, I)` of `box`."""
        indices = [self._coarse_index(axis) for axis in (2, 1, 0)]
        for axis, index in enumerate(indices):
            mask = np.logical_or.reduceat(mask, np.flatnonzero(np.diff(index, prepend=-1)), axis=axis)
        holding = np.zeros_like(self.coarse_near)
        holding[np.ix_(*(np.unique(index) for index in indices))] = mask
        return holding

    def widened(self, touched: NDArray[np.bool_]) -> LiverPlace:
        """The place with half the margin more around `touched` `(K, J, I)` on the coarse grid."""
        further = _within(touched, self.coarse, self.margin_mm / 2)
        around = _box_on(further, self.coarse, self.geometry, self.margin_mm / 2)
        box = self.box if around is None else _hull(self.box, around)
        return replace(self, box=box, coarse_near=self.coarse_near | further)

    def unseen(self, seen: Box) -> Box | None:
        """The part of the box that holds all that is near and not in `seen`, half a margin around it; None for nothing.

        On the CT's grid, as `seen` is.
        """
        near = self.coarse_near.copy()
        inside = []
        for axis in (2, 1, 0):  # a coarse voxel may lie across the border of what was seen
            index = self._coarse_index(axis, seen)
            inner = seen.start[axis] > 0, seen.stop[axis] < self.geometry.size[axis]
            inside.append(slice(int(index[0]) + inner[0], int(index[-1]) + 1 - inner[1]))
        near[tuple(inside)] = False
        return _box_on(near, self.coarse, self.geometry, self.margin_mm / 2)

    def _coarse_index(self, axis: int, box: Box | None = None) -> NDArray[np.intp]:
        """Of each of the box's voxels along an index axis, the coarse voxel that it lies in."""
        box = box or self.box
        centers = np.arange(box.start[axis], box.stop[axis]) + 0.5
        per_coarse = self.coarse.spacing_mm[axis] / self.geometry.spacing_mm[axis]
        return np.minimum((centers / per_coarse).astype(np.intp), self.coarse.size[axis] - 1)


def place_of(liver: NDArray[np.bool_], coarse: Geometry, geometry: Geometry, margin_mm: float) -> LiverPlace | None:
    """The place of `liver` `(K, J, I)` on the grid `coarse`, which lies over the extent of the CT's `geometry`.

    Returns:
        None where `liver` is empty.
    """
    box = _box_on(liver, coarse, geometry, margin_mm)
    if box is None:
        return None
    return LiverPlace(box, _within(liver, coarse, margin_mm / 2), coarse, geometry, margin_mm)


def _box_on(mask: NDArray[np.bool_], coarse: Geometry, geometry: Geometry, margin_mm: float) -> Box | None:
    """The box on `geometry` around `mask` `(K, J, I)` on `coarse`, with a margin; None where `mask` is empty."""
    coarse_box = Box.around(mask)
    if coarse_box is None:
        return None
    ratio = [c / s for c, s in zip(coarse.spacing_mm, geometry.spacing_mm, strict=True)]
    # The grids' outer borders at the start coincide.
    start = [floor(a * r) for a, r in zip(coarse_box.start, ratio, strict=True)]
    stop = [ceil(b * r) for b, r in zip(coarse_box.stop, ratio, strict=True)]
    box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    return box.padded(_voxels(margin_mm, geometry), geometry.size)


def _within(mask: NDArray[np.bool_], grid: Geometry, reach_mm: float) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: what lies at most `reach_mm` from `mask` on `grid`, center to center."""
    within = np.zeros_like(mask)
    box = Box.around(mask)
    if box is not None:
        around = box.padded(_voxels(reach_mm, grid), grid.size).slices  # beyond it nothing is
        within[around] = edt.edt(~mask[around], anisotropy=grid.spacing_mm[::-1]) <= reach_mm
    return within


def _beside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels that share a face with one of `mask`."""
    beside = np.zeros_like(mask)
    for axis in range(mask.ndim):
        low, high = [slice(None)] * mask.ndim, [slice(None)] * mask.ndim
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        beside[tuple(low)] |= mask[tuple(high)]
        beside[tuple(high)] |= mask[tuple(low)]
    return beside


def _hull(a: Box, b: Box) -> Box:
    """The smallest box that holds both."""
    start = [min(p, q) for p, q in zip(a.start, b.start, strict=True)]
    stop = [max(p, q) for p, q in zip(a.stop, b.stop, strict=True)]
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _voxels(length_mm: float, geometry: Geometry) -> tuple[int, int, int]:
    """Voxels along each axis that reach at least `length_mm`."""
    i, j, k = (ceil(length_mm / spacing_mm) for spacing_mm in geometry.spacing_mm)
    return i, j, k
