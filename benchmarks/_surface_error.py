# SPDX-License-Identifier: Apache-2.0
"""How far a mesh is from a phantom's exact surface, and its volume from the exact volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.labels import LIVER, Structure
from liver_seg_ros.phantom import Phantom
from liver_seg_ros.phantom.exact_distance import exact_distance
from liver_seg_ros.reconstruction.meshes.triangles import is_watertight, parts_of_vertices, signed_volumes

#: Grid on which the exact shape is looked at, per voxel of the labels: volumes on `FINER`, distances on one as fine.
FINER = 2


@dataclass(frozen=True)
class SurfaceError:
    """What is wrong with one mesh."""

    triangles: int
    watertight: bool
    parts: int
    volume_error: float  # share of the exact volume, signed
    mean_mm: float
    percentile_95_mm: float


class Truth:
    """The exact surface of one structure of a phantom."""

    def __init__(self, phantom: Phantom, structure: Structure) -> None:
        labels = phantom.labels
        mask = labels.array > 0 if structure == LIVER else labels.mask(structure.value)
        box = Box.around(mask)
        assert box is not None, f"phantom {phantom.seed} has no {structure.name}"
        self._grid = labels.geometry.crop(box.padded((4, 4, 4), labels.geometry.size))
        self._field = exact_distance(phantom, structure, self._grid)
        self.volume_mm3 = _volume_mm3(phantom, structure, self._grid)

    def error(self, vertices_mm: NDArray[np.floating], triangles: NDArray[np.integer]) -> SurfaceError:
        """Of a mesh in LPS mm. Distances are taken at the middle of each triangle, weighted with its area."""
        corners = np.asarray(vertices_mm, float)[triangles]  # (T, 3, 3)
        areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
        away = np.abs(self._distance(corners.mean(axis=1)))
        order = np.argsort(away)
        share = np.cumsum(areas[order]) / areas.sum()
        volume = float(signed_volumes(vertices_mm, triangles).sum())
        return SurfaceError(
            triangles=len(triangles),
            watertight=is_watertight(triangles, len(vertices_mm)),
            parts=parts_of_vertices(triangles, len(vertices_mm))[0],
            volume_error=volume / self.volume_mm3 - 1,
            mean_mm=float(np.average(away, weights=areas)),
            percentile_95_mm=float(away[order][np.searchsorted(share, 0.95)]),
        )

    def _distance(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Field over length of its gradient: the distance to the surface to first order."""
        step_mm = 0.05

        def field(at: NDArray[np.float64]) -> NDArray[np.float64]:
            index = self._grid.lps_to_index(at)[:, ::-1].T
            return np.asarray(map_coordinates(self._field, index, order=3, mode="nearest"), float)

        shifts = np.eye(3) * step_mm
        gradient = np.stack([(field(points_mm + s) - field(points_mm - s)) / (2 * step_mm) for s in shifts], axis=1)
        return field(points_mm) / np.linalg.norm(gradient, axis=1).clip(min=0.5)


def _volume_mm3(phantom: Phantom, structure: Structure, grid: Geometry) -> float:
    """Counted on voxels of half the spacing, some slices at a time."""
    volume = 0.0
    for k in range(0, grid.size[2], 16):
        stop = min(k + 16, grid.size[2])
        slab = grid.crop(Box((0, 0, k), (grid.size[0], grid.size[1], stop)))
        i, j, n = (s / FINER for s in slab.spacing_mm)
        fine = slab.resampled((i, j, n))
        volume += float((exact_distance(phantom, structure, fine) < 0).sum()) * fine.voxel_volume_mm3
    return volume
