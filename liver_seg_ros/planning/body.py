# SPDX-License-Identifier: Apache-2.0
"""Finding the patient's body in a CT, on a coarse grid, also where the field of view cuts it."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import fill_voids
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.orientation import to_canonical
from liver_seg_ros.planning.air import Mask, convex_hull, enclosed_air, goes_on, opened
from liver_seg_ros.planning.field_of_view import BODY_HU, FieldOfView, find_field_of_view
from liver_seg_ros.volume import Volume

#: Grid on which the body is looked for.
GRID_MM = 3.0

#: What is thinner than twice this is not body: the table's shell, covers, tubes.
THIN_MM = 5.0

#: A body with less than this is none: a child's head has more. A crop may hold less, if that is most of what it holds.
LEAST_BODY_MM3, LEAST_BODY_SHARE = 1e6, 0.5


@dataclass(frozen=True, eq=False)
class Body:
    """A patient's body in a CT, without the table.

    Attributes:
        geometry: a grid of about `GRID_MM`, every n-th voxel of the CT, in the order left, posterior, superior.
        hu: `(K, J, I)` int16, those voxels.
        view: what of them was measured.
        inside: `(K, J, I)` bool, with all air in it.
        unsure: `(K, J, I)` bool, what is in the body's outline and may be of a bowel or the edge of a lung, or between
            back and table: no skin is looked for beside it.
    """

    geometry: Geometry
    hu: NDArray[np.int16]
    view: FieldOfView
    inside: Mask
    unsure: Mask


def find_body(ct: Volume) -> Body:
    """The largest body in a CT.

    What is brighter than `BODY_HU`, lungs filled, is opened with a ball of `THIN_MM` (by distances, so that it is round
    on any grid), which cuts the table off; the largest connected part is the body, with all air inside it filled.

    Raises:
        InputError: no body of at least a liter, nor one that fills a smaller CT.
    """
    i, j, k = (max(1, round(GRID_MM / mm)) for mm in ct.geometry.spacing_mm)
    axes = to_canonical(ct.geometry)
    geometry = axes.apply_to_geometry(ct.geometry.strided((i, j, k)))
    hu = np.ascontiguousarray(axes.apply(ct.array[::k, ::j, ::i]))
    view = find_field_of_view(hu, geometry)
    spacing_mm = geometry.spacing_mm[::-1]
    bright = (hu > BODY_HU) & view.measured
    tissue = _largest(opened(bright, spacing_mm, THIN_MM))
    # Lungs first: a thin chest wall is no thin thing, and at the end of the volume they are open.
    lungs, enclosed = enclosed_air(hu, bright, tissue, view.measured, spacing_mm)
    inside = _largest(opened(bright | lungs, spacing_mm, THIN_MM))
    inside = fill_voids.fill(np.stack([fill_voids.fill(part) for part in inside]))
    voxels = np.count_nonzero(inside)
    least = min(LEAST_BODY_MM3 / geometry.voxel_volume_mm3, LEAST_BODY_SHARE * np.count_nonzero(view.measured))
    if voxels == 0 or voxels < least:
        raise InputError(f"the CT {ct.uid} shows no body: no connected liter above {BODY_HU} HU; give entry points")
    dark = ~(bright | inside)
    may_be_air = view.measured | ((view.is_air is not False) & np.isin(hu, view.fillings))
    around = goes_on(dark & ~enclosed & may_be_air, spacing_mm[0])
    outline = np.stack([convex_hull(part) for part in tissue])
    unsure = view.measured & ~inside & ((dark & ~around) | (bright & outline))
    return Body(geometry, hu, view, inside, unsure)


def _largest(mask: Mask) -> Mask:
    return cc3d.largest_k(mask, k=1, connectivity=6).astype(bool) if mask.any() else mask
