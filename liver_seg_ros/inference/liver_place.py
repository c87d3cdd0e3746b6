# SPDX-License-Identifier: Apache-2.0
"""Where the liver is in a CT, as far as a coarse network can tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor

import edt
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.region import Region
from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class LiverPlace:
    """A region of a CT that holds the liver with a margin all around it.

    The box is what the fine network looks at. It also holds organs that look like liver (a spleen beside a long left
    lobe), which only the coarse network, seeing all of the CT, tells apart: so nothing counts beyond `near`. The box
    is padded by twice as much, because the fine network needs to see what is around the liver. Where liver is found at
    the edge of what is near, the coarse network saw too little of it: then `widened` looks further there. Mostly that
    was in the box already, and what is `seen` there need not be computed again.

    Attributes:
        box: on the CT's grid.
        coarse_near: `(K, J, I)` bool on the network's grid over the CT's extent: at most half the box's margin away
            from the liver.
        coarse_seen: `(K, J, I)` bool on the same grid: what is near, and what else has half the margin around it.
        coarse: that grid.
        geometry: the CT's grid.
        margin_mm: the box's margin.
    """

    box: Box
    coarse_near: NDArray[np.bool_]
    coarse_seen: NDArray[np.bool_]
    coarse: Geometry
    geometry: Geometry
    margin_mm: float

    __repr__ = short_repr

    @property
    def near(self) -> Region:
        """The voxels near the liver, which count."""
        return Region(self.box, self.coarse_near, self.coarse, self.geometry)

    @property
    def seen(self) -> Region:
        """The voxels that the fine network sees well; all that are near are among them."""
        return Region(self.box, self.coarse_seen, self.coarse, self.geometry)

    def touched_by(self, organ: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where an organ found in the box ends because nothing counts any further.

        Args:
            organ: `(K, J, I)` bool on the voxels of `box`.

        Returns:
            `(K, J, I)` bool on the coarse grid: where the organ borders on what is not near. The CT's own border is no
            edge.
        """
        blocks = [_Runs.of(self.near.coarse_index(axis)) for axis in (2, 1, 0)]
        inside = np.ix_(*(block.values for block in blocks))
        near = self.coarse_near[inside]
        touching = np.zeros_like(near)
        for axis in range(near.ndim):
            for step in (-1, 1):
                edge = near & _has_beside(~near, axis, step)
                touching |= _holding(organ, edge, blocks, axis, step)
        touched = np.zeros_like(self.coarse_near)
        touched[inside] = touching
        # Voxels of a CT wider than the coarse ones skip some of these, and so may lie beside what is not near alone.
        return touched & np.logical_or.reduce(
            [_has_beside(~self.coarse_near, axis, step) for axis in range(3) for step in (-1, 1)]
        )

    def widened(self, touched: NDArray[np.bool_]) -> LiverPlace:
        """The place with half the margin more around `touched` `(K, J, I)` on the coarse grid."""
        near = self.coarse_near | _within(touched, self.coarse, self.margin_mm / 2)
        unseen = near & ~self.coarse_seen
        around = _box_on(unseen, self.coarse, self.geometry, self.margin_mm / 2)
        if around is None:
            return replace(self, coarse_near=near)
        seen = self.coarse_seen | _filled(unseen)
        return replace(self, box=_hull(self.box, around), coarse_near=near, coarse_seen=seen)

    def newly_near(self, before: LiverPlace) -> Region:
        """What counts here and did not in the place `before`."""
        return Region(self.box, self.coarse_near & ~before.coarse_near, self.coarse, self.geometry)

    def beyond(self, before: LiverPlace) -> Region | None:
        """What is seen here and was not in the place `before`, with a box half a margin around it; None for nothing."""
        new = self.coarse_seen & ~before.coarse_seen
        box = _box_on(new, self.coarse, self.geometry, self.margin_mm / 2)
        return None if box is None else Region(box, new, self.coarse, self.geometry)


def place_of(liver: NDArray[np.bool_], coarse: Geometry, geometry: Geometry, margin_mm: float) -> LiverPlace | None:
    """The place of `liver` `(K, J, I)` on the grid `coarse`, which lies over the extent of the CT's `geometry`.

    Returns:
        None where `liver` is empty.
    """
    box = _box_on(liver, coarse, geometry, margin_mm)
    if box is None:
        return None
    near = _within(liver, coarse, margin_mm / 2)
    return LiverPlace(box, near, _filled(near), coarse, geometry, margin_mm)


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
    return box.padded(geometry.voxels_over(margin_mm), geometry.size)


def _within(mask: NDArray[np.bool_], grid: Geometry, reach_mm: float) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: what lies at most `reach_mm` from `mask` on `grid`, center to center."""
    within = np.zeros_like(mask)
    box = Box.around(mask)
    if box is not None:
        around = box.padded(grid.voxels_over(reach_mm), grid.size).slices  # beyond it nothing is
        within[around] = edt.edt(~mask[around], anisotropy=grid.spacing_mm[::-1]) <= reach_mm
    return within


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: the box around `mask`."""
    filled = np.zeros_like(mask)
    box = Box.around(mask)
    if box is not None:
        filled[box.slices] = True
    return filled


@dataclass(frozen=True, eq=False)
class _Runs:
    """Equal numbers in a row: what they are, where each run begins and how long it is."""

    values: NDArray[np.intp]
    begins: NDArray[np.intp]
    lengths: NDArray[np.intp]

    @staticmethod
    def of(numbers: NDArray[np.intp]) -> _Runs:
        """Those of numbers that never fall."""
        return _Runs(*np.unique(numbers, return_index=True, return_counts=True))

    def place(self, run: NDArray[np.intp], n: int) -> NDArray[np.intp]:
        """Where the `n`-th of each run is, the last one where a run is shorter, or -1 for the last one."""
        last = self.lengths[run] - 1
        return self.begins[run] + (last if n < 0 else np.minimum(n, last))


def _has_beside(mask: NDArray[np.bool_], axis: int, step: int) -> NDArray[np.bool_]:
    """The voxels whose neighbor along an axis, `step` 1 or -1 away, is one of `mask`."""
    beside = np.zeros_like(mask)
    low, high = [slice(None)] * mask.ndim, [slice(None)] * mask.ndim
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    here, there = (low, high) if step > 0 else (high, low)
    beside[tuple(here)] = mask[tuple(there)]
    return beside


def _holding(
    organ: NDArray[np.bool_], asked: NDArray[np.bool_], blocks: list[_Runs], axis: int, step: int
) -> NDArray[np.bool_]:
    """Which of the blocks `asked` of the voxels of `organ` have one of it on the face towards `step` along an axis."""
    holding = np.zeros_like(asked)
    index = np.nonzero(asked)
    found = np.zeros(len(index[0]), bool)
    across = [other for other in range(asked.ndim) if other != axis]
    for n in np.ndindex(*(int(blocks[other].lengths.max()) for other in across)):
        offsets = dict(zip(across, n, strict=True)) | {axis: -1 if step > 0 else 0}
        found |= organ[tuple(blocks[a].place(index[a], offsets[a]) for a in range(asked.ndim))]
    holding[index] = found
    return holding


def _hull(a: Box, b: Box) -> Box:
    """The smallest box that holds both."""
    start = [min(p, q) for p, q in zip(a.start, b.start, strict=True)]
    stop = [max(p, q) for p, q in zip(a.stop, b.stop, strict=True)]
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
