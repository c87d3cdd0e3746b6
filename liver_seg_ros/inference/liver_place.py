"""Where the liver is in a CT, as far as a coarse network can tell."""

from __future__ import annotations

from dataclasses import dataclass
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
        coarse_near: `(K, J, I)` bool on the coarse grid over the CT's extent: at most half the box's margin away.
        voxels_per_coarse: CT voxels per coarse voxel along `(i, j, k)`.
    """

    box: Box
    coarse_near: NDArray[np.bool_]
    voxels_per_coarse: tuple[float, float, float]

    def near(self) -> NDArray[np.bool_]:
        """`(K, J, I)` bool on the CT's voxels in `box`: those near the liver."""
        index = []
        for axis in (2, 1, 0):
            centers = np.arange(self.box.start[axis], self.box.stop[axis]) + 0.5
            coarse = (centers / self.voxels_per_coarse[axis]).astype(np.intp)
            index.append(np.minimum(coarse, self.coarse_near.shape[2 - axis] - 1))
        return self.coarse_near[np.ix_(*index)]


def place_of(liver: NDArray[np.bool_], coarse: Geometry, geometry: Geometry, margin_mm: float) -> LiverPlace | None:
    """The place of `liver` `(K, J, I)` on the grid `coarse`, which lies over the extent of the CT's `geometry`.

    Returns:
        None where `liver` is empty.
    """
    coarse_box = Box.around(liver)
    if coarse_box is None:
        return None
    ratio = [c / s for c, s in zip(coarse.spacing_mm, geometry.spacing_mm, strict=True)]
    start = [
        floor(a * r) for a, r in zip(coarse_box.start, ratio, strict=True)
    ]  # the outer borders at the start coincide
    stop = [ceil(b * r) for b, r in zip(coarse_box.stop, ratio, strict=True)]
    i, j, k = (ceil(margin_mm / spacing_mm) for spacing_mm in geometry.spacing_mm)
    box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])).padded((i, j, k), geometry.size)
    distance_mm = edt.edt(~liver, anisotropy=coarse.spacing_mm[::-1])
    return LiverPlace(box, distance_mm <= margin_mm / 2, (ratio[0], ratio[1], ratio[2]))
