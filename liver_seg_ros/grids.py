# SPDX-License-Identifier: Apache-2.0
"""Do two grids hold the same points, in whatever order they count them? And if not, by how much do they differ?"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.orientation import Reorientation, towards

#: Two voxels are at the same place if their centers are no further apart than this share of a voxel on each axis.
#: Formats round positions and spacings; over hundreds of slices that adds up to hundredths of a voxel.
PLACE_TOLERANCE = 0.1


def reordering(geometry: Geometry, other: Geometry) -> Reorientation | None:
    """How an array on `geometry` is reordered to lie on `other`; None where the two do not hold the same points.

    Both are right-handed.
    """
    reorientation = towards(geometry, other.direction)
    reordered = reorientation.apply_to_geometry(geometry)
    if reordered.size != other.size:
        return None
    apart = other.lps_to_index(reordered.index_to_lps(other.corners)) - other.corners
    return reorientation if np.abs(apart).max() <= PLACE_TOLERANCE else None


def difference(geometry: Geometry, other: Geometry) -> str:
    """What differs between two grids and by how much, for a person, in one line without a period.

    Axes are in the order of `other`, whatever that of `geometry` is; the origin's difference is along LPS.
    """
    grid = towards(geometry, other.direction).apply_to_geometry(geometry)
    parts = []
    if grid.size != other.size:
        parts.append(f"size {_times(grid.size)} instead of {_times(other.size)} voxels")
    if _times(grid.spacing_mm) != _times(other.spacing_mm):
        parts.append(f"spacing {_times(grid.spacing_mm)} instead of {_times(other.spacing_mm)} mm")
    off_mm = np.subtract(grid.origin_mm, other.origin_mm)
    if np.abs(off_mm).max() >= 0.005:
        parts.append(f"origin off by ({', '.join(f'{mm:.2f}' for mm in off_mm)}) mm")
    degrees = _degrees_between(grid, other)
    if degrees >= 0.005:
        parts.append(f"axes turned by {degrees:.2f} degrees")
    if grid.size == other.size:
        apart_mm = np.linalg.norm(grid.index_to_lps(grid.corners) - other.index_to_lps(grid.corners), axis=1).max()
        parts.append(f"voxels up to {apart_mm:.2f} mm apart")
    return ", ".join(parts)


def _times(numbers: Iterable[float]) -> str:
    return "x".join(f"{number:.6g}" for number in numbers)


def _degrees_between(geometry: Geometry, other: Geometry) -> float:
    """The angle of the rotation between the axes of two grids of the same handedness."""
    turn = other.direction_matrix.T @ geometry.direction_matrix
    sine, cosine = np.linalg.norm(turn - turn.T) / 8**0.5, (np.trace(turn) - 1) / 2
    return float(np.degrees(np.arctan2(sine, cosine)))
