# SPDX-License-Identifier: Apache-2.0
"""Moving a surface outward until it encloses a structure, no further than it takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.mesh import Mesh
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.meshes.enclosed import Enclosed
from liver_seg_ros.reconstruction.meshes.surfaces import Surface, surface_to_mesh
from liver_seg_ros.reconstruction.meshes.triangles import neighbor_means, vertex_normals

#: How often it is moved at most: at first only where the structure is outside, as branches that are near each other
#: would go through each other, and at last everywhere.
TIMES, OF_THEM_LOCAL = 8, 6

#: Rings of vertices around what is moved that go with it, each less than the one before.
RINGS = 2

#: How much further than the structure is outside, as faces move less than their corners: by a part, and mm.
FURTHER, FURTHER_MM = 1.2, 0.02


def enlarged(surface: Surface, inner: Enclosed, mask: StructureMask, limit_mm: float) -> Mesh | None:
    """The surface, moved outward until it encloses what it has to, as a mesh in LPS mm.

    Args:
        surface: closed, in mm along the axes of the mask's grid.
        inner: what it has to enclose.
        mask: whose grid it is.
        limit_mm: None where a vertex would be moved further.
    """
    moved_mm = np.zeros(len(surface.vertices_mm))
    for turn in range(TIMES):
        mesh = surface_to_mesh(surface, mask)
        outside_mm, triangles = inner.outside(mesh)
        inner.step()
        if outside_mm <= 0:
            return mesh
        step_mm = np.full(len(moved_mm), FURTHER * outside_mm + FURTHER_MM)
        if turn < OF_THEM_LOCAL:
            step_mm *= _near(surface.triangles, triangles, len(step_mm))
        moved_mm += step_mm
        if moved_mm.max() > limit_mm:
            break
        outward = vertex_normals(surface.vertices_mm, surface.triangles)
        surface = Surface(surface.vertices_mm + step_mm[:, None] * outward, surface.triangles)
    return None


def _near(triangles: NDArray[np.int32], some: NDArray[np.intp], vertex_count: int) -> NDArray[np.float64]:
    """`(V,)` 1 at the corners of some of the triangles, and less and less in the rings of vertices around."""
    there = np.zeros(vertex_count)
    there[triangles[some]] = 1.0
    return np.maximum(there, np.minimum(1.0, 2 * neighbor_means(there, triangles, RINGS)))
