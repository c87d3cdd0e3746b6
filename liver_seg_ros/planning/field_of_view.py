# SPDX-License-Identifier: Apache-2.0
"""Where a CT's measurement ends: at the field of view, at a crop, at the border of what was resampled.

Beyond it files hold one constant, whatever it is: -3024, -2000 or -1024 outside of a round field of view, 0 or -1000
around a resampled volume. What was measured has noise, so that a block of equal voxels was not; with one exception:
many scanners cut air off at -1024. Such air and a filling cannot be told apart by themselves, but where they meet the
body they can. A CT blurs: from air to tissue the values rise over some voxels. Tissue that ends from one voxel to the
next is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.volume import Volume

Scalar = TypeVar("Scalar", bound=np.generic)

#: What can be air; a constant outside of it is a filling, whatever it touches.
AIR_HU = (-1100, -900)
#: Air and what lies on the table are darker, fat is brighter.
BODY_HU = -300

#: Air in a scanner is darker than any lung.
LUNG_HU = -960
#: Where air is cut off at a value, at least this part of the air beside the blocks of that value has it too.
CUT_OFF = 0.2

#: Smaller blocks of equal voxels are chance.
LEAST_BLOCK_VOXELS = 50

#: How far outside of the body's surface the measurement may end for the body to be cut there: where the surface is, is
#: known no better. One voxel more where someone resampled tissue with a filling that is no air: see `mixed`.
CONTACT_MM = 5.0
#: How much further the CT is looked at, on either side of the surface.
BEYOND_MM = 4.0

#: How much of the step from a filling to the tissue some voxels deeper is taken by the last voxel before the filling:
#: all of it at a cut, half on average where a cut was resampled; at the skin, where it is the foot of the blur, less
#: than 0.2 in real CTs with air cut off.
ABRUPT = 0.3
#: Neighboring places whose median is taken: some 10 mm around each.
TOGETHER = 15


@dataclass(frozen=True, eq=False)
class FieldOfView:
    """What of a CT was measured.

    Attributes:
        geometry: the grid of `measured`.
        measured: `(K, J, I)` bool, False in blocks of one value that reach the border.
        fillings: the values of those blocks.
        is_air: whether those that could be air are; None where only the places tell at which they meet the body.
    """

    geometry: Geometry
    measured: NDArray[np.bool_]
    fillings: tuple[int, ...]
    is_air: bool | None


def find_field_of_view(hu: NDArray[np.int16], geometry: Geometry) -> FieldOfView:
    """What was measured of `hu` `(K, J, I)` on a grid of `geometry`, which may be every n-th voxel of a CT."""
    core = _equal_to_neighbors(hu)
    blocks = binary_dilation(core)  # of a voxel in the core all neighbors have its value
    by_value = cc3d.connected_components(np.where(blocks, hu.astype(np.int32) + (1 << 16), 0), connectivity=6)
    corners = np.isin(by_value, _others(by_value[np.ix_(*[(0, -1)] * 3)]))
    rest = (hu > BODY_HU) & ~corners
    is_drawn = bool(rest.any() and core[rest].mean() > 0.5)
    if is_drawn:  # without noise tissue may be a block at the border too, but what surrounds it holds the corners
        outside = corners & (hu < AIR_HU[1])
    else:
        joined = cc3d.connected_components(cc3d.dust(blocks, LEAST_BLOCK_VOXELS, connectivity=6), connectivity=6)
        sides = [joined.take(end, axis).ravel() for axis in range(3) for end in (0, -1)]
        outside = np.isin(joined, _others(np.concatenate(sides)))
    fillings = np.unique(hu[outside])
    outside |= hu < AIR_HU[0]
    mixed = binary_dilation(outside & ((hu < AIR_HU[0]) | (hu > AIR_HU[1])))  # where someone resampled it
    measured = ~(outside | mixed)
    air = hu[measured & (hu < LUNG_HU) & ~binary_dilation(outside) & ~binary_dilation(hu > AIR_HU[1], iterations=2)]
    is_air = True if is_drawn else None
    if len(air) >= LEAST_BLOCK_VOXELS and np.isin(air, fillings).mean() < CUT_OFF:
        is_air = False  # air looks otherwise
    return FieldOfView(geometry, measured, tuple(fillings.tolist()), is_air)


def _others(parts: NDArray[np.integer]) -> NDArray[np.integer]:
    """The numbers of parts that are there, without the background's 0."""
    numbers = np.unique(parts)
    return numbers[numbers > 0]


def cut_places(
    ct: Volume, view: FieldOfView, points_mm: NDArray[np.float64], normals: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """`(N,)` at which places of the body's surface the measurement ends, and not the body.

    Args:
        ct: at its own resolution.
        view: of that CT.
        points_mm: `(N, 3)` LPS, on the body's surface, some millimetres apart.
        normals: `(N, 3)` outward unit vectors there.
    """
    if not len(points_mm):
        return np.zeros(0, bool)
    step_mm, voxel_mm = min(ct.geometry.spacing_mm) / 2, max(view.geometry.spacing_mm)
    reach_mm = CONTACT_MM + voxel_mm + BEYOND_MM
    away_mm = np.arange(-reach_mm, reach_mm + step_mm, step_mm)
    places = points_mm[:, None] + away_mm[:, None] * normals[:, None]
    hu, on_grid = _at(ct.array, ct.geometry, places)
    in_block = ~_at(view.measured, view.geometry, places[:, -1])[0] | ~on_grid[:, -1]
    nothing = ~on_grid | np.isin(hu, view.fillings) | (hu < AIR_HU[0])
    to_the_end = np.logical_and.accumulate(nothing[:, ::-1], axis=1)[:, ::-1]
    first = np.where(to_the_end.any(axis=1), to_the_end.argmax(axis=1), len(away_mm) - 1)
    beyond = hu[np.arange(len(hu)), first]
    may_be_air = on_grid[:, -1] & (beyond >= AIR_HU[0]) & (beyond <= AIR_HU[1])
    no_air = on_grid[:, -1] & ~may_be_air
    ends = in_block & to_the_end[:, -1] & (away_mm[first] <= CONTACT_MM + no_air * voxel_mm)

    cut = ends & ~(may_be_air & (view.is_air is not False))
    at = np.flatnonzero(ends & may_be_air & (first > 0))
    if len(at) and view.is_air is None:
        across_mm = 1 / np.linalg.norm(normals[at] @ ct.geometry.direction_matrix / ct.geometry.spacing_mm, axis=1)
        share = _share_of_step(hu[at], first[at], across_mm / step_mm)
        _, near = cKDTree(points_mm[at]).query(points_mm[at], k=min(TOGETHER, len(at)))
        cut[at] = np.median(share[near.reshape(len(at), -1)], axis=1) > ABRUPT
    return cut


def _equal_to_neighbors(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: voxels whose neighbors, up to six, have the same value."""
    equal = np.ones(hu.shape, bool)
    for axis in range(3):
        same = np.diff(hu, axis=axis) == 0
        low, high = np.moveaxis(equal, axis, 0)[:-1], np.moveaxis(equal, axis, 0)[1:]
        low &= np.moveaxis(same, axis, 0)
        high &= np.moveaxis(same, axis, 0)
    return equal


def _at(
    array: NDArray[Scalar], geometry: Geometry, places_mm: NDArray[np.float64]
) -> tuple[NDArray[Scalar], NDArray[np.bool_]]:
    """`(...)` the values of the voxels in which places `(..., 3)` lie or next to which, and which lie on the grid."""
    index = np.rint(geometry.lps_to_index(places_mm)).astype(np.intp)
    last = np.array(geometry.size) - 1
    i, j, k = np.moveaxis(index.clip(0, last), -1, 0)
    return array[k, j, i], np.asarray(((index >= 0) & (index <= last)).all(axis=-1))


def _share_of_step(hu: NDArray[np.int16], first: NDArray[np.intp], voxel: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(N,)` see `ABRUPT`. In each row of `hu` the filling begins at `first`; a voxel takes `voxel` columns."""
    rows = np.arange(len(hu))

    def deeper(voxels: float) -> NDArray[np.float64]:
        return hu[rows, (first - 1 - np.rint(voxels * voxel).astype(np.intp)).clip(min=0)].astype(np.float64)

    filling = hu[rows, first].astype(np.float64)
    tissue = np.median([deeper(2), deeper(3), deeper(4)], axis=0)
    return (deeper(0) - filling) / (tissue - filling).clip(min=1.0)
