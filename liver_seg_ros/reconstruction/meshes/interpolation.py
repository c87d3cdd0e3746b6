# SPDX-License-Identifier: Apache-2.0
"""Thin slices between thick ones, so that a surface has no terraces.

Shape-based interpolation (Raya and Udupa, IEEE Transactions on Medical Imaging 9:32-42, 1990): each slice becomes the
signed distance to its outline, and the outline between two slices is where the distances, weighted by how near each
slice is, add up to zero. Distances are Euclidean and exact where they were city-block distances then.

That alone cuts or loses what does not overlap the next slice, as thin oblique vessels do. So each region of a slice
(8-connected) is also looked at by itself:
- Where regions of neighboring slices touch without sharing a pixel, they are one oblique branch: there they are moved
  onto each other, interpolated and moved back, so that the outline slides from one to the other.
- A region that does not go on in the next slice ends in a rounded cap (`CAP`), and so do the first and the last slice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift

from liver_seg_ros.geometry import Vector
from liver_seg_ros.reconstruction.masks import StructureMask

#: Slices are not made thinner than this, whatever the pixels are.
THINNEST_MM = 1.0

#: Volume of a cap, in slices times the area of the region. A body with flat ends reaches half a slice beyond its last
#: slice on average, a round one has a third of a slice's volume there.
CAP = 0.34

Distance = NDArray[np.float32]


def thin_slices(spacing_mm: Vector) -> int:
    """Into how many slices each is divided: the odd number that makes voxels most nearly cubic, 1 for no division.

    That is, slices more than twice as thick as pixels (or as `THINNEST_MM`, if pixels are smaller) are divided. An odd
    number leaves each given slice in its place.
    """
    i_mm, j_mm, k_mm = spacing_mm
    ratio = k_mm / max(i_mm, j_mm, THINNEST_MM)
    return max(1, 2 * round((ratio - 1) / 2) + 1)


def interpolated(mask: StructureMask) -> StructureMask:
    """The mask with thin slices instead of thick ones (`thin_slices`); `mask` itself where they are thin enough.

    The middle one of the slices that replace one is equal to it, and what is connected (through faces, edges or corners
    of voxels) stays connected.
    """
    count = thin_slices(mask.geometry.spacing_mm)
    if count == 1:
        return mask
    i_mm, j_mm, k_mm = mask.geometry.spacing_mm
    geometry = mask.geometry.resampled((i_mm, j_mm, k_mm / count))
    return StructureMask(mask.structure, interpolate_slices(mask.array, count, (i_mm, j_mm)), geometry)


def interpolate_slices(array: NDArray[np.bool_], count: int, pixel_mm: tuple[float, float]) -> NDArray[np.bool_]:
    """`(K, J, I)` bool to `(K * count, J, I)`; `count` is odd, `pixel_mm` along `(i, j)`.

    Nothing is made beyond the outermost of the new slices, so the first and the last given one should be empty.
    """
    thin = np.zeros((len(array) * count, *array.shape[1:]), bool)
    half = count // 2
    thin[half::count] = array
    below = _Slice.of(array[0], pixel_mm)
    for k in range(len(array) - 1):
        above = _Slice.of(array[k + 1], pixel_mm)
        _fill(thin[k * count + half + 1 : (k + 1) * count + half], below, above)
        below = above
    return thin


@dataclass(frozen=True, eq=False)
class _Slice:
    """A slice `[j, i]`: its regions numbered from 1, their areas in pixels, and the signed distance in mm."""

    regions: NDArray[np.unsignedinteger]
    areas: NDArray[np.integer]  # of region 0, the background, too
    distance: Distance  # negative inside, zero on the border between pixels; +inf everywhere in an empty slice
    pixel_mm: tuple[float, float]

    @staticmethod
    def of(plane: NDArray[np.bool_], pixel_mm: tuple[float, float]) -> _Slice:
        regions = cc3d.connected_components(plane[None], connectivity=26)[0]  # in 2D and bool, cc3d 4.1 miscounts
        return _Slice(regions, np.bincount(regions.reshape(-1)), _signed_distance(plane, pixel_mm), pixel_mm)


def _fill(gap: NDArray[np.bool_], below: _Slice, above: _Slice) -> None:
    """Write the thin slices `(N, J, I)` between two given ones."""
    if len(below.areas) > 1 and len(above.areas) > 1:
        for t, plane in _steps(gap):
            plane |= (1 - t) * below.distance + t * above.distance < 0
    pairs, shared = _touching(below.regions, above.regions)
    goes_on = [np.zeros(len(side.areas), bool) for side in (below, above)]
    for on, pair in zip(goes_on, pairs.T, strict=True):
        on[0] = True  # the background
        on[pair[shared > 0]] = True
    for pair in pairs[shared == 0]:
        for side, on, number, slid in zip((below, above), goes_on, pair, _slide(gap, below, above, pair), strict=True):
            on[number] |= 2 * slid > side.areas[number]
    _cap(gap, below, ~goes_on[0])
    _cap(gap[::-1], above, ~goes_on[1])


def _steps(gap: NDArray[np.bool_]) -> Iterator[tuple[np.float32, NDArray[np.bool_]]]:
    """The thin slices, each with how far it is from the slice below, 0 to 1."""
    for number, plane in enumerate(gap, start=1):
        yield np.float32(number / (len(gap) + 1)), plane


def _touching(
    below: NDArray[np.unsignedinteger], above: NDArray[np.unsignedinteger]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """`(P, 2)` regions below and above of which pixels are the same or neighbors, and `(P,)` how many they share."""
    count = int(above.max()) + 1
    shared = np.zeros((int(below.max()) + 1, count), np.intp)
    touching = np.zeros(shared.shape, bool)
    rows, columns = below.shape
    for dj, di in np.ndindex(3, 3):
        a = below[max(0, dj - 1) : rows + min(0, dj - 1), max(0, di - 1) : columns + min(0, di - 1)]
        b = above[max(0, 1 - dj) : rows + min(0, 1 - dj), max(0, 1 - di) : columns + min(0, 1 - di)]
        both = (a > 0) & (b > 0)
        a, b = a[both].astype(np.intp), b[both].astype(np.intp)
        touching[a, b] = True
        if (dj, di) == (1, 1):
            shared += np.bincount(a * count + b, minlength=shared.size).reshape(shared.shape)
    pairs = np.argwhere(touching)
    return pairs, shared[pairs[:, 0], pairs[:, 1]]


def _slide(gap: NDArray[np.bool_], below: _Slice, above: _Slice, pair: NDArray[np.intp]) -> list[int]:
    """Lead a region below over to one above that touches it; how many pixels of each take part.

    Only what is near the place where they touch does, about as far as the thinner one is wide: of a vessel that runs
    along the slice its end, of one that crosses it obliquely all.
    """
    regions = [side.regions == number for side, number in zip((below, above), pair, strict=True)]
    box = _window(regions[0] | regions[1])
    regions = [region[box] for region in regions]
    to_touch = np.maximum(*(edt.edt(~region, anisotropy=below.pixel_mm[::-1]) for region in regions))
    thinner_mm = min(-float(side.distance[box][r].min()) for side, r in zip((below, above), regions, strict=True))
    near = to_touch <= to_touch.min() + 4 * thinner_mm
    regions = [region & near for region in regions]
    distances = [_signed_distance(region, below.pixel_mm) for region in regions]
    centers = [_center(distance) for distance in distances]
    way = centers[1] - centers[0]
    for t, plane in _steps(gap):
        moved = [
            shift(distance, offset, order=1, mode="nearest")
            for distance, offset in zip(distances, (t * way, (t - 1) * way), strict=True)
        ]
        plane[box] |= (1 - t) * moved[0] + t * moved[1] < 0
        for step in (-0.5, 0.0, 0.5):  # one pixel wide, it could fall between the pixels
            j, i = np.rint(centers[0] + (t + step / (len(gap) + 1)) * way).astype(int)
            plane[box][j, i] = True
    return [int(np.count_nonzero(region)) for region in regions]


def _cap(gap: NDArray[np.bool_], here: _Slice, ends: NDArray[np.bool_]) -> None:
    """Round off the regions that end, away from their slice: `gap[0]` is the thin slice next to it."""
    inside = ends[here.regions]
    if not inside.any():
        return
    region, depth = here.regions[inside], -here.distance[inside]
    deepest = np.zeros(len(ends), np.float32)
    np.maximum.at(deepest, region, depth)
    height = np.sqrt(1 - (1 - depth / deepest[region]) ** 2)  # an ellipsoid over a round region
    mean = np.bincount(region, height, minlength=len(ends)) / here.areas
    height *= CAP / mean[region]
    for t, plane in _steps(gap):
        plane[inside] |= height >= t


def _signed_distance(plane: NDArray[np.bool_], pixel_mm: tuple[float, float]) -> Distance:
    """`(J, I)` mm to the nearest border between a pixel inside and one outside, negative inside."""
    if not plane.any():
        return np.full(plane.shape, np.inf, np.float32)
    j_i_mm = pixel_mm[::-1]
    half = np.float32(min(pixel_mm) / 2)
    outside = edt.edt(~plane, anisotropy=j_i_mm, black_border=False)
    inside = edt.edt(plane, anisotropy=j_i_mm, black_border=False)
    return np.where(plane, half - inside, outside - half)


def _window(region: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The box of a region with two pixels around it."""
    j, i = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    return slice(max(0, j[0] - 2), j[-1] + 3), slice(max(0, i[0] - 2), i[-1] + 3)


def _center(distance: Distance) -> NDArray[np.float64]:
    """A point `(j, i)` in the middle of a region: the center of mass or, where that is outside, the deepest point."""
    middle = np.argwhere(distance < 0).mean(axis=0)
    if distance[tuple(np.rint(middle).astype(int))] < 0:
        return middle
    return np.array(np.unravel_index(int(distance.argmin()), distance.shape), float)
