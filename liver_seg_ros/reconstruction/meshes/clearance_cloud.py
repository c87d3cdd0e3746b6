# SPDX-License-Identifier: Apache-2.0
"""Surface points with their distance to a structure: where the tumor is near to a vessel, at a glance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.labels import Structure
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries
from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class ClearanceCloud:
    """Points with their clearance.

    Attributes:
        structure: what the clearance is to; None where nothing is labelled that it could be to.
        points_mm: `(N, 3)` float32, LPS.
        clearance_mm: `(N,)` float32 signed distance to the surface of `structure`, negative inside.
    """

    structure: Structure | None
    points_mm: NDArray[np.float32]
    clearance_mm: NDArray[np.float32]

    __repr__ = short_repr


EMPTY_CLEARANCE_CLOUD = ClearanceCloud(None, np.empty((0, 3), np.float32), np.empty(0, np.float32))


def clearance_cloud(cloud: PointCloud, mesh: Mesh | None) -> ClearanceCloud:
    """The points of all other structures with their distance to the surface `mesh`; empty where that is None."""
    if mesh is None:
        return EMPTY_CLEARANCE_CLOUD
    points_mm = cloud.points_mm[cloud.labels != mesh.structure.value]
    clearance_mm = SurfaceQueries(mesh).signed_distance(points_mm).astype(np.float32)
    return ClearanceCloud(mesh.structure, points_mm, clearance_mm)
