# SPDX-License-Identifier: Apache-2.0
"""Surfaces and clouds: what reconstruction makes of a `LabelVolume`, and what files and messages carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.labels import Structure


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh of one structure in LPS millimetres.

    Attributes:
        structure: the row of the label table that it shows.
        vertices_mm: `(V, 3)` float32, LPS.
        triangles: `(T, 3)` int32 indices into `vertices_mm`, counter-clockwise seen from outside.
        normals: `(V, 3)` float32 unit vectors pointing outward.
    """

    structure: Structure
    vertices_mm: NDArray[np.float32]
    triangles: NDArray[np.int32]
    normals: NDArray[np.float32]

    def __repr__(self) -> str:
        return f"Mesh({self.structure.name}, {len(self.vertices_mm)} vertices, {len(self.triangles)} triangles)"


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Labelled surface points of all structures in LPS millimetres.

    Attributes:
        points_mm: `(N, 3)` float32, LPS.
        normals: `(N, 3)` float32 unit vectors pointing outward.
        labels: `(N,)` uint8 values of the label table.
    """

    points_mm: NDArray[np.float32]
    normals: NDArray[np.float32]
    labels: NDArray[np.uint8]

    def __repr__(self) -> str:
        return f"PointCloud({len(self.points_mm)} points)"
