# SPDX-License-Identifier: Apache-2.0
"""Air in a CT's slices: in the body, in a lung that the field of view opens, or around the body."""

from __future__ import annotations

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.spatial import ConvexHull

from liver_seg_ros.planning.field_of_view import AIR_HU, LUNG_HU

#: Air inside a slice's outline is lung or bowel where a disk of this radius fits; a gap between back and table is not.
LUNG_MM = 10.0
#: A lung has at least this part of its surface on tissue that is not thin; the inside of a table, on which the back
#: lies, less.
ON_TISSUE = 0.35

#: The air around a body goes on over at least this length, or where the CT is shorter this part of it; gas in a bowel
#: that a crop opens does not.
OUTSIDE_MM, OUTSIDE_SHARE = 120.0, 0.6

Mask = NDArray[np.bool_]


def enclosed_air(
    hu: NDArray[np.int16], bright: Mask, tissue: Mask, measured: Mask, spacing_mm: tuple[float, ...]
) -> tuple[Mask, Mask]:
    """`(K, J, I)` bool, of axial slices: lungs and the like to be filled, and all air in the outline of the tissue.

    Args:
        hu: the CT.
        bright: what is no air.
        tissue: what of that is the body for certain.
        measured: what is in the field of view.
        spacing_mm: in the order of the array's axes.
    """
    pixel_mm = spacing_mm[1:]
    parts = [_air_inside(*part, pixel_mm) for part in zip(hu, bright, tissue, measured, strict=True)]
    inside, maybe = (np.stack(part) for part in zip(*parts, strict=True))
    wide = np.stack([opened(part | ~m, pixel_mm, LUNG_MM) for part, m in zip(inside, measured, strict=True)])
    return (inside & wide) | (maybe & _on_tissue(maybe, tissue | inside, measured)), inside


def goes_on(air: Mask, slice_mm: float) -> Mask:
    """`(K, J, I)` bool: the connected parts of `air` that are in so many slices as the air around a body is."""
    parts = cc3d.connected_components(air, connectivity=6)
    slices = np.array([box[0].stop - box[0].start for box in cc3d.statistics(parts)["bounding_boxes"]])
    enough = slices * slice_mm >= min(OUTSIDE_MM, OUTSIDE_SHARE * len(air) * slice_mm)
    enough[0] = False
    return np.asarray(enough[parts])


def convex_hull(mask: Mask) -> Mask:
    """`(J, I)` bool: the pixels in the convex hull of those of `mask`."""
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) < 2:
        return mask
    left, right = mask[rows].argmax(axis=1), mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([rows, left], axis=1), np.stack([rows, right], axis=1)])
    hull = ConvexHull(ends, qhull_options="QJ")  # joggled, so that points in a line are no error
    inside = np.ones(mask.shape, bool)
    j, i = np.ogrid[: mask.shape[0], : mask.shape[1]]
    for a, b, offset in hull.equations:
        inside &= a * j + b * i + offset <= 1e-6
    return inside


def _air_inside(
    hu: NDArray[np.int16], bright: Mask, tissue: Mask, measured: Mask, pixel_mm: tuple[float, ...]
) -> tuple[Mask, Mask]:
    """`(J, I)` bool of an axial slice: air that is inside of the body, and air that is if it lies against tissue.

    What is inside lies for its greater part in the convex hull of the tissue, also where the measurement ends and
    opens it. But a lung may reach beyond, where its wall is too thin to count as tissue or out of the field of view:
    it is brighter than air, or wide and enclosed.
    """
    kinds = np.where(bright, 0, np.where(measured, 1, 2)).astype(np.uint8)
    part = cc3d.connected_components(kinds, connectivity=4)
    count = int(part.max()) + 1
    kind = np.zeros(count, np.uint8)
    kind[part] = kinds
    within = ~binary_dilation(bright)
    # A quartile, so that an edge of the table in it does not count; away from bright pixels, with which the edge mixes.
    like_lung = _quantiles(hu[within], part[within], count, 0.25) > LUNG_HU
    could_be_air = (kind == 1) | ((kind == 2) & (_quantiles(hu, part, count, 0.5) <= AIR_HU[1]))
    voxels, in_hull = (np.bincount(p, minlength=count) for p in (part.ravel(), part[convex_hull(tissue)]))
    inside = could_be_air & (in_hull > 0.5 * voxels)

    at_end = binary_dilation(np.pad(~measured, 1, constant_values=True))[1:-1, 1:-1]
    is_open = np.bincount(part[at_end], minlength=count) > 0
    is_wide = np.bincount(part[opened(kinds == 1, pixel_mm, LUNG_MM)], minlength=count) > 0
    maybe = ~inside & (kind == 1) & (like_lung | (is_wide & ~is_open))
    return inside[part], maybe[part]


def _quantiles(hu: NDArray[np.int16], part: NDArray[np.integer], count: int, share: float) -> NDArray[np.float64]:
    """`(count,)` of each part the value below which this share of its pixels lies; lowest where it has none."""
    number = np.bincount(part.ravel(), minlength=count)
    values = hu.ravel()[np.lexsort((hu.ravel(), part.ravel()))].astype(np.float64)
    place = np.cumsum(number) - number + (share * number).astype(np.intp)
    return np.where(number > 0, np.append(values, -np.inf)[place.clip(max=len(values))], -np.inf)


def _on_tissue(air: Mask, tissue: Mask, measured: Mask) -> Mask:
    """`(K, J, I)` bool: the connected parts of `air` that lie against `tissue` with enough of their surface."""
    parts = cc3d.connected_components(air, connectivity=6)
    count = int(parts.max()) + 1
    faces, on_tissue = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for axis in range(3):
        for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
            at, beside = (slice(None),) * axis + (here,), (slice(None),) * axis + (there,)
            face = air[at] & ~air[beside] & measured[beside]
            faces += np.bincount(parts[at][face], minlength=count)
            on_tissue += np.bincount(parts[at][face & tissue[beside]], minlength=count)
    enough = on_tissue >= ON_TISSUE * faces
    enough[0] = False
    return np.asarray(enough[parts])


def opened(mask: Mask, spacing_mm: tuple[float, ...], radius_mm: float) -> Mask:
    """What of `mask` a ball (in a slice: a disk) which fits into it reaches; beyond the border it goes on.

    `spacing_mm` is in the order of the array's axes.
    """
    core = edt.edt(mask, anisotropy=spacing_mm, black_border=False, parallel=2) > radius_mm
    if not core.any():
        return np.zeros_like(mask)
    return mask & (edt.edt(~core, anisotropy=spacing_mm, black_border=False, parallel=2) <= radius_mm)
