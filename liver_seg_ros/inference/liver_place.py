"""Where the liver is in a CT, as far as a coarse network can tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor

import edt
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry


@dataclass(frozen=True, eq=False)
class LiverPlace:
    """A region of a CT that holds the liver with a margin all around it.

    The box is what the fine network looks at. It also holds organs that look like liver (a spleen beside a long left
    lobe), which only the coarse network, seeing all of the CT, tells apart: so nothing counts beyond `near`. The box
    is padded by twice as much, because the fine network needs to see what is around the liver.

    Attributes:
        box: on the CT's grid.
        coarse_near: `(K, J, I)` bool on the network's grid over the CT's extent: at most half the box's margin away.
        voxels_per_coarse: CT voxels per coarse voxel along `(i, j, k)`.
    """

    box: Box
    coarse_near: NDArray[np.bool_]
    voxels_per_coarse: tuple[float, float, float]

    def near_slices(self) -> Iterator[NDArray[np.bool_]]:
        """Slice by slice of `box`, `(J, I)` bool on the CT's voxels: those near the liver."""
        k, j, i = (self._coarse_index(axis) for axis in (2, 1, 0))
        for coarse_k, slices in groupby(k.tolist()):
            near = self.coarse_near[coarse_k][np.ix_(j, i)]
            for _ in slices:
                yield near

    def _coarse_index(self, axis: int) -> NDArray[np.intp]:
        """Of each of the box's voxels along an index axis, the coarse voxel that it lies in."""
        centers = np.arange(self.box.start[axis], self.box.stop[axis]) + 0.5
        coarse = (centers / self.voxels_per_coarse[axis]).astype(np.intp)
        return np.minimum(coarse, self.coarse_near.shape[2 - axis] - 1)


def place_of(liver: NDArray[np.bool_], coarse: Geometry, geometry: Geometry, margin_mm: float) -> LiverPlace | None:
    """The place of `liver` `(K, J, I)` on the grid `coarse`, which lies over the extent of the CT's `geometry`.

    Returns:
        None where `liver` is empty.
    """
    coarse_box = Box.around(liver)
    if coarse_box is None:
        return None
    ratio = [c / s for c, s in zip(coarse.spacing_mm, geometry.spacing_mm, strict=True)]
    # The grids' outer borders at the start coincide.
    start = [floor(a * r) for a, r in zip(coarse_box.start, ratio, strict=True)]
    stop = [ceil(b * r) for b, r in zip(coarse_box.stop, ratio, strict=True)]
    box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])).padded(
        _voxels(margin_mm, geometry), geometry.size
    )
    near = np.zeros(liver.shape, bool)
    around = coarse_box.padded(_voxels(margin_mm / 2, coarse), coarse.size).slices  # beyond it nothing is near
    near[around] = edt.edt(~liver[around], anisotropy=coarse.spacing_mm[::-1]) <= margin_mm / 2
    return LiverPlace(box, near, (ratio[0], ratio[1], ratio[2]))


def _voxels(length_mm: float, geometry: Geometry) -> tuple[int, int, int]:
    """Voxels along each axis that reach at least `length_mm`."""
    i, j, k = (ceil(length_mm / spacing_mm) for spacing_mm in geometry.spacing_mm)
    return i, j, k
