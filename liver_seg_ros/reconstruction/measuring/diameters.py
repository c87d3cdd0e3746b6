# SPDX-License-Identifier: Apache-2.0
"""The largest diameter of a part in space and within an axial slice.

Diameters are between centers of voxel faces (in a slice: of pixel edges), exact for these. The uncertainties say how
far that is from the diameter of the body that was sampled:
- Each end may lie anywhere in its voxel: half a voxel's diagonal at either end, together one diagonal.
- The slice through the widest place may not have been taken. An ellipsoid of height H cut by slices that are s apart
  shows at least sqrt(1 - (s/H)^2) of its diameter in one of them; what is missing is added to the pixel's diagonal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist, pdist, squareform

from liver_seg_ros.geometry import Geometry, Vector
from liver_seg_ros.measurement import AxialDiameter

#: Distances held in memory at a time, 8 bytes each.
_MOST_DISTANCES = 2_000_000

#: Distances looked at for one diameter, a second or two. A liver takes a thousandth of it.
_MOST_PAIRS = 200_000_000


def largest_diameter_mm(part: NDArray[np.bool_], spacing_mm: Vector) -> float:
    """The first of `largest_diameter`."""
    return largest_diameter(part, spacing_mm)[0]


def largest_diameter(part: NDArray[np.bool_], spacing_mm: Vector) -> tuple[float, float]:
    """The largest distance between centers of voxel faces of a part `[k, j, i]`, which is not empty.

    And what it may be more at most: 0 but for bodies of which too many places are about as far from each other.
    """
    k, j = np.nonzero(part.any(axis=2))
    rows = part[k, j]  # (R, I): rows of voxels; only their two ends can be corners of the convex hull
    first, last = _row_ends(rows)
    ends = np.concatenate([np.stack([first, j, k], axis=1), np.stack([last, j, k], axis=1)])
    if len(k) > 3 and min(np.ptp(ends, axis=0)) > 0:
        ends = ends[_hull_vertices(ends.astype(float))]
    faces = np.concatenate([np.eye(3), -np.eye(3)]) / 2
    points = (ends[:, None] + faces).reshape(-1, 3) * np.array(spacing_mm)
    return farthest(points[_hull_vertices(points)])


def farthest_mm(points: NDArray[np.float64]) -> float:
    """The first of `farthest`."""
    return farthest(points)[0]


def farthest(points: NDArray[np.float64]) -> tuple[float, float]:
    """The largest distance between two of the points `(N, 3)`, N > 0, and what it may be more at most.

    Of two points that are further apart than d at least one lies outside of any given ball of diameter d. So a good
    pair is found first, by going from a point to the farthest one as long as that grows, and then only points outside
    the ball over it are compared with all, the outermost first. Of bodies of any usual shape these are few, and the
    distance is exact. Of the rest no more than `_MOST_PAIRS` are compared: what is left lies in a ball, whose diameter
    bounds it.
    """
    best_mm, middle, end = 0.0, points[0], points[0]
    while True:
        distance_mm = np.linalg.norm(points - end, axis=1)
        farthest = int(distance_mm.argmax())
        if distance_mm[farthest] <= best_mm:
            break
        best_mm, middle = float(distance_mm[farthest]), (points[farthest] + end) / 2
        end = points[farthest]
    outward_mm = np.linalg.norm(points - middle, axis=1)
    order = np.argsort(-outward_mm)
    at_a_time = max(1, _MOST_DISTANCES // len(points))
    for first in range(0, len(points), at_a_time):
        if 2 * outward_mm[order[first]] <= best_mm:
            break
        if first * len(points) >= _MOST_PAIRS:
            return best_mm, float(2 * outward_mm[order[first]] - best_mm)
        best_mm = max(best_mm, float(cdist(points[order[first : first + at_a_time]], points).max()))
    return best_mm, 0.0


def diameter_uncertainty_mm(spacing_mm: Vector) -> float:
    """How far a diameter between voxel faces may be from that of the body: one diagonal of the voxel."""
    return float(np.linalg.norm(spacing_mm))


def axial_diameter(part: NDArray[np.bool_], geometry: Geometry) -> AxialDiameter:
    """The largest diameter within one of the grid's slices that are nearest to axial.

    These are the slices across that index axis which runs closest to the patient's long axis: radiologists measure in
    the slices that the scanner gave, also where the gantry was tilted.

    Args:
        part: `[k, j, i]` bool, not empty.
        geometry: its grid.
    """
    through = int(np.abs(geometry.direction_matrix[2]).argmax())  # index axis (0 = i) that runs up the patient
    row, column = (axis for axis in (2, 1, 0) if axis != through)  # index axes within the slice
    slices = np.moveaxis(part, (2 - through, 2 - row, 2 - column), (0, 1, 2))
    pixel_mm = np.array([geometry.spacing_mm[column], geometry.spacing_mm[row]])
    taken = np.flatnonzero(slices.any(axis=(1, 2)))
    # The widest slices first: most others cannot hold a larger diameter and are not looked at.
    bounds = [_diagonal_mm(slices[number], pixel_mm) for number in taken]
    best_mm, best, outline = 0.0, int(taken[0]), np.empty((0, 2))
    for place in np.argsort(bounds)[::-1]:
        if bounds[place] <= best_mm:
            break
        hull = _outline(slices[taken[place]], pixel_mm)
        longest_mm = float(pdist(hull).max())
        if longest_mm > best_mm:
            best_mm, best, outline = longest_mm, int(taken[place]), hull
    long_ends, short_ends = _bidirectional(outline)

    def to_lps(ends: NDArray[np.float64]) -> tuple[Vector, Vector]:
        index = np.empty((2, 3))
        index[:, [column, row]] = ends / pixel_mm
        index[:, through] = best
        (ax, ay, az), (bx, by, bz) = geometry.index_to_lps(index).tolist()
        return (ax, ay, az), (bx, by, bz)

    height = int(taken[-1] - taken[0]) + 1  # slices
    between_slices_mm = best_mm * (1 - np.sqrt(1 - 1 / height**2))
    return AxialDiameter(
        best_mm,
        float(np.linalg.norm(short_ends[1] - short_ends[0])),
        float(np.linalg.norm(pixel_mm) + between_slices_mm),
        to_lps(long_ends),
        to_lps(short_ends),
    )


def _diagonal_mm(image: NDArray[np.bool_], pixel_mm: NDArray[np.float64]) -> float:
    extent = [np.ptp(np.flatnonzero(image.any(axis=axis))) + 1 for axis in (0, 1)]  # columns, rows
    return float(np.linalg.norm(extent * pixel_mm))


def _outline(image: NDArray[np.bool_], pixel_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(H, 2)` (column, row) in mm: the convex hull of the pixels' edge centers, counter-clockwise."""
    rows = np.flatnonzero(image.any(axis=1))
    first, last = _row_ends(image[rows])
    ends = np.concatenate([np.stack([first, rows], axis=1), np.stack([last, rows], axis=1)])
    edges = np.concatenate([np.eye(2), -np.eye(2)]) / 2
    points = (ends[:, None] + edges).reshape(-1, 2) * pixel_mm
    return points[ConvexHull(points).vertices]


def _bidirectional(hull: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends `(2, 2)` of the longest diameter of a convex polygon and of its longest chord at a right angle."""
    a, b = np.unravel_index(squareform(pdist(hull)).argmax(), (len(hull), len(hull)))
    a, b = sorted((int(a), int(b)))
    along = (hull[b] - hull[a]) / np.linalg.norm(hull[b] - hull[a])
    frame = np.stack([along, [-along[1], along[0]]])
    u, v = frame @ (hull - hull[a]).T
    # From one end to the other u grows on the one side and falls on the other: no corner is beyond the ends.
    one = np.arange(a, b + 1)
    other = np.r_[b : len(hull), : a + 1][::-1]
    one_v = np.interp(u, np.maximum.accumulate(u[one]), v[one])
    other_v = np.interp(u, np.maximum.accumulate(u[other]), v[other])
    widest = int(np.abs(one_v - other_v).argmax())
    chord = np.array([[u[widest], one_v[widest]], [u[widest], other_v[widest]]])
    return hull[[a, b]], hull[a] + chord @ frame


def _row_ends(rows: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and last True of each row `(R, I)`, every one of which has one."""
    return rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)


def _hull_vertices(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Indices of the corners of the convex hull; all points where they lie in one plane."""
    centered = points - points.mean(axis=0)
    if np.linalg.matrix_rank(centered[:: max(1, len(points) // 1000)]) < 3 and np.linalg.matrix_rank(centered) < 3:
        return np.arange(len(points), dtype=np.int32)
    return ConvexHull(points).vertices
