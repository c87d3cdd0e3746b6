"""A second, coarser mesh around each structure, for collision checks: it may be too large, never too small.

It is where the distance to the structure is half the margin: dilation closes gaps and rounds what is sharp, so that few
triangles do, and decimation has the other half of the margin to err in either direction. What came out is measured:
nothing of the visual mesh and no voxel center of the label may be outside, and no point of the collision mesh further
out than the margin. The result has as few triangles as meet both.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import edt
import fill_voids
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from liver_seg_ros.mesh import Mesh
from liver_seg_ros.reconstruction.decimation import decimate
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.self_intersections import edge_crossings, without_self_intersections
from liver_seg_ros.reconstruction.surface_queries import SurfaceQueries
from liver_seg_ros.reconstruction.surfaces import Surface, isosurface, surface_to_mesh
from liver_seg_ros.reconstruction.triangles import vertex_normals

_log = logging.getLogger(__name__)

#: Fewer triangles are not tried for.
FEWEST_TRIANGLES = 1_000

#: How often a mesh is moved outward until the structure is inside.
ENLARGEMENTS = 8

#: Size of the cells in which the surface is looked for, in margins, where voxels are smaller. What it goes around is
#: more than a margin wide.
STEP = 0.75


@dataclass(frozen=True, eq=False)
class CollisionMesh:
    """A closed mesh that encloses a structure.

    Attributes:
        mesh: in LPS mm.
        largest_distance_mm: how far its vertices, edges and faces are from the visual mesh at most (of each edge and
            each face the middle is measured).
    """

    mesh: Mesh
    largest_distance_mm: float


def collision_mesh(mask: StructureMask, visual: Mesh, margin_mm: float, triangle_budget: int) -> CollisionMesh:
    """A closed outward mesh that encloses `visual` and the centers of the voxels of `mask`.

    Args:
        mask: the structure, with thin slices (`interpolation.interpolated`).
        visual: its closed mesh.
        margin_mm: how far outside of `visual` the mesh may be. Exceeded, with a warning logged, where it is smaller
            than the voxels can resolve: enclosing comes first.
        triangle_budget: exceeded, with a warning logged, where so few triangles cannot keep to the margin.

    Raises:
        ValueError: the margin is not positive.
    """
    if not margin_mm > 0:
        raise ValueError(f"a collision margin of {margin_mm} mm is not positive")
    inner = _Inner.of(mask, visual)
    dilated = surface = _dilated(mask, inner.visual, margin_mm)
    best, budget = None, triangle_budget
    while True:
        surface = _repaired(decimate(surface, budget))
        found = inner.enclosed_by(surface, mask, margin_mm / 2)
        if found and found.largest_distance_mm <= margin_mm:
            best = found
            if len(surface.triangles) > triangle_budget or budget // 4 < FEWEST_TRIANGLES:
                break
            budget //= 4  # of what is there already
        elif best or len(surface.triangles) == len(dilated.triangles):
            break
        else:
            budget *= 2
            surface = dilated
    best = best or inner.enclosed_by(dilated, mask, np.inf)
    if best is None:
        raise RuntimeError(f"no collision mesh encloses the {mask.structure.name}: its surface turns inside out")
    _warn(best, margin_mm, triangle_budget)
    return best


@dataclass(frozen=True, eq=False)
class _Inner:
    """What is to be enclosed: the visual mesh, and the voxel centers that are not inside of it."""

    visual: SurfaceQueries
    points_mm: NDArray[np.float64]

    @staticmethod
    def of(mask: StructureMask, visual: Mesh) -> _Inner:
        queries = SurfaceQueries(visual)
        border = mask.array & ~binary_erosion(mask.array)
        centers_mm = mask.geometry.index_to_lps(np.argwhere(border)[:, ::-1])
        outside = queries.signed_distance(centers_mm) >= 0
        return _Inner(queries, np.concatenate([visual.vertices_mm, centers_mm[outside]]))

    def enclosed_by(self, surface: Surface, mask: StructureMask, limit_mm: float) -> CollisionMesh | None:
        """The surface as a mesh, moved outward until it encloses the structure; None where `limit_mm` is not enough."""
        moved_mm = 0.0
        for _ in range(ENLARGEMENTS):
            mesh = surface_to_mesh(surface, mask)
            outside_mm = self._outside_mm(mesh)
            if outside_mm <= 0:
                a, b, c = (mesh.vertices_mm[mesh.triangles[:, corner]] for corner in range(3))
                on_mesh = np.concatenate([mesh.vertices_mm, (a + b) / 2, (b + c) / 2, (c + a) / 2, (a + b + c) / 3])
                return CollisionMesh(mesh, float(self.visual.nearest(on_mesh)[0].max()))
            step_mm = 1.2 * outside_mm + 0.02  # faces move less than their corners
            moved_mm += step_mm
            if moved_mm > limit_mm:
                break
            outward = vertex_normals(surface.vertices_mm, surface.triangles)
            surface = Surface(surface.vertices_mm + step_mm * outward, surface.triangles)
        return None

    def _outside_mm(self, mesh: Mesh) -> float:
        """How far the structure reaches out of a mesh; 0 where it is enclosed."""
        outside_mm = max(0.0, float(SurfaceQueries(mesh).signed_distance(self.points_mm).max()))
        if outside_mm == 0 and _cross(mesh, self.visual.mesh):
            return 0.05  # an edge or a corner just comes through a face
        return outside_mm


def _repaired(surface: Surface) -> Surface:
    vertices_mm, _ = without_self_intersections(surface.vertices_mm, surface.triangles)
    return Surface(vertices_mm, surface.triangles)


def _cross(mesh: Mesh, other: Mesh) -> bool:
    """True where an edge of one goes through a face of the other."""
    for a, b in ((mesh, other), (other, mesh)):
        start, end = a.triangles.reshape(-1), a.triangles[:, [1, 2, 0]].reshape(-1)
        once = start < end
        if edge_crossings(a.vertices_mm, start[once], end[once], b.vertices_mm, b.triangles)[0].size:
            return True
    return False


def _dilated(mask: StructureMask, visual: SurfaceQueries, margin_mm: float) -> Surface:
    """The closed surface half a margin outside of the visual one, in mm along the axes of the mask's grid."""
    offset_mm = margin_mm / 2
    spacing_mm = np.array(mask.geometry.spacing_mm)
    steps = np.maximum(1, (STEP * margin_mm / spacing_mm).astype(int))
    step_mm = steps * spacing_mm
    # Beyond the mask's own box by the distance asked for, and by a step in which the surface can close.
    pad = np.ceil((offset_mm + spacing_mm) / spacing_mm).astype(int) + steps
    array = np.pad(mask.array, [(n, n) for n in pad[::-1]])
    i, j, k = steps
    distance = edt.edt(~array, anisotropy=tuple(spacing_mm[::-1]), black_border=False, parallel=2)[::k, ::j, ::i]
    # From voxel centers that is only about right. From the visual surface, where the new one will be; a tip that
    # smoothing shortened counts by its voxels.
    near = np.argwhere(abs(distance - offset_mm - spacing_mm.mean() / 2) < np.linalg.norm(step_mm) + spacing_mm.max())
    near = near[distance[tuple(near.T)] > 0]
    distance[distance == 0] = -spacing_mm.mean() / 2
    points_mm = mask.geometry.index_to_lps(near[:, ::-1] * steps - pad)
    distance[tuple(near.T)] = np.minimum(distance[tuple(near.T)], visual.signed_distance(points_mm))
    field = np.float32(offset_mm) - distance
    field[abs(field) < 0.01 * step_mm.min()] = 0.01 * step_mm.min()  # on a grid point, triangles would have no area
    enclosed = fill_voids.fill(field > 0)
    field[enclosed] = field[enclosed].clip(min=0.01 * step_mm.min())
    vertices, triangles = isosurface(field, tuple(step_mm), 0.0)
    return Surface(vertices.astype(np.float64) - pad * spacing_mm, triangles.astype(np.int32))


def _warn(found: CollisionMesh, margin_mm: float, triangle_budget: int) -> None:
    name, triangles = found.mesh.structure.name, len(found.mesh.triangles)
    if found.largest_distance_mm > margin_mm:
        _log.warning(
            "collision mesh of %s: up to %.1f mm outside, beyond the margin of %.1f mm",
            name, found.largest_distance_mm, margin_mm,
        )  # fmt: skip
    if triangles > triangle_budget:
        _log.warning(
            "collision mesh of %s: %d triangles instead of %d, to keep within the margin of %.1f mm",
            name, triangles, triangle_budget, margin_mm,
        )  # fmt: skip
