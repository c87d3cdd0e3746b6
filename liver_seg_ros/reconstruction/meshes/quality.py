# SPDX-License-Identifier: Apache-2.0
"""What a planner should know of a mesh before it trusts it."""

from __future__ import annotations

import numpy as np

from liver_seg_ros.measurement import MeshQuality
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.reconstruction.meshes.self_intersections import self_intersections
from liver_seg_ros.reconstruction.meshes.triangles import defect_vertices, fans, parts_of_vertices, signed_volumes


def mesh_quality(mesh: Mesh) -> MeshQuality:
    """Check a mesh with at least one triangle: some hundredths of a second for 30 000."""
    vertices = mesh.vertices_mm.astype(np.float64) - mesh.vertices_mm.mean(axis=0)
    count = len(vertices)
    watertight = defect_vertices(mesh.triangles, count).size == 0
    parts, part = parts_of_vertices(mesh.triangles, count)
    volumes = np.bincount(part[mesh.triangles[:, 0]], signed_volumes(vertices, mesh.triangles), minlength=parts)
    return MeshQuality(
        triangles=len(mesh.triangles),
        watertight=watertight,
        manifold=watertight and len(fans(mesh.triangles, count)[1]) == len(np.unique(mesh.triangles)),
        outward=bool((volumes > 0).all()),
        self_intersections=len(self_intersections(vertices, mesh.triangles)),
    )
