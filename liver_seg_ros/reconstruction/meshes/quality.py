"""What a planner should know of a mesh before it trusts it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liver_seg_ros.mesh import Mesh
from liver_seg_ros.reconstruction.meshes.self_intersections import self_intersections
from liver_seg_ros.reconstruction.meshes.triangles import defect_vertices, fans, parts_of_vertices, signed_volumes


@dataclass(frozen=True)
class MeshQuality:
    """How sound a mesh is.

    Attributes:
        triangles: how many.
        watertight: every edge is shared by exactly two triangles, in opposite directions.
        manifold: watertight, and around each vertex the triangles form one closed fan.
        outward: the normals of every connected part point out of it.
        self_intersections: pairs of triangles that go through each other.
    """

    triangles: int
    watertight: bool
    manifold: bool
    outward: bool
    self_intersections: int

    @property
    def defects(self) -> str:
        """What is wrong with it, in words; empty where nothing is."""
        found = []
        if not self.watertight:
            found.append("it is not closed")
        elif not self.manifold:
            found.append("parts of it meet in single points")
        if not self.outward:
            found.append("a part of it is inside out")
        if self.self_intersections:
            found.append(f"{self.self_intersections} pairs of its {self.triangles} triangles go through each other")
        return ", ".join(found)

    @property
    def is_sound(self) -> bool:
        """Nothing is wrong with it."""
        return self.manifold and self.outward and self.self_intersections == 0


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
