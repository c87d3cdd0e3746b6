# SPDX-License-Identifier: Apache-2.0
"""A second, coarser mesh around each structure, for collision checks: it may be too large, never too small.

It is where the distance to the structure is half the margin: dilation closes gaps and rounds what is sharp, so that few
triangles do, and decimation has the other half of the margin to err in either direction. What came out is measured:
nothing of the visual mesh and no voxel center of the label may be outside, and no point of the collision mesh further
from them than the margin. The result has as few triangles as meet both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import edt
import fill_voids
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import ConvexHull, cKDTree

from liver_seg_ros.errors import InputError
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.progress import Done, approaching, not_told
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.meshes.decimation import decimate
from liver_seg_ros.reconstruction.meshes.self_intersections import edge_crossings, without_self_intersections
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries
from liver_seg_ros.reconstruction.meshes.surfaces import Surface, isosurface, surface_to_mesh
from liver_seg_ros.reconstruction.meshes.triangles import area_vectors, vertex_normals
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.voxel_blocks import in_blocks

_log = logging.getLogger(__name__)

#: Fewer triangles are not tried for.
FEWEST_TRIANGLES = 1_000

#: Still fewer are tried while the mesh is closer than this part of the margin.
ROOM = 0.75

#: How much of what is left is told to be done after each step of the work.
STEP_SHARE = 0.05

#: How often a mesh is moved outward until the structure is inside.
ENLARGEMENTS = 8

#: Size of the cells in which the surface is looked for, in margins, where voxels are smaller. Half a cell's diagonal is
#: less than half a margin, so that no branch falls between the corners of a cell, however thin it is.
STEP = 0.55


@dataclass(frozen=True, eq=False)
class CollisionMesh:
    """A closed mesh that encloses a structure.

    Attributes:
        mesh: in LPS mm.
        largest_distance_mm: how far its vertices, edges and faces are from the structure at most (of each edge and each
            face the middle is measured).
    """

    mesh: Mesh
    largest_distance_mm: float

    __repr__ = short_repr


def collision_mesh(
    mask: StructureMask, visual: Mesh, margin_mm: float, triangle_budget: int, done: Done = not_told
) -> CollisionMesh:
    """A closed outward mesh that encloses `visual` and the centers of the voxels of `mask`.

    Args:
        mask: the structure, with thin slices (`interpolation.interpolated`).
        visual: its closed mesh.
        margin_mm: how far from these the mesh may be. Exceeded, with a warning logged, where it is smaller
            than the voxels can resolve: enclosing comes first.
        triangle_budget: exceeded, with a warning logged, where so few triangles cannot keep to the margin.
        done: is told how far the work is; nobody knows beforehand how many tries it takes.

    Raises:
        InputError: the margin is not positive.
    """
    if not margin_mm > 0:
        raise InputError(f"a collision margin of {margin_mm} mm is not positive")
    step = approaching(done, STEP_SHARE)
    inner = _Inner.of(mask, visual, step)
    dilated = _dilated(mask, inner, margin_mm)
    tries: dict[int, tuple[Surface, CollisionMesh | None]] = {}

    def keeps_within(budget: int) -> bool:
        surface = _coarser(dilated, budget, step)
        tries[budget] = surface, inner.enclosed_by(surface, mask, margin_mm / 2)
        return _within(tries[budget][1], margin_mm)

    budget = triangle_budget
    if not keeps_within(budget) and len(dilated.triangles) > budget:
        # Where so many do not keep to it, the voxels are too coarse for the margin and no number of triangles does.
        budget = 4 * triangle_budget
        budget = 2 * triangle_budget if keeps_within(budget) and keeps_within(budget // 2) else budget
    surface, found = tries[budget]
    if found is None or not _within(found, margin_mm):  # as few as asked for, and whatever encloses the structure
        best = tries[triangle_budget][1] or _enclosing(mask, inner, margin_mm, triangle_budget)
        _warn(best, margin_mm, triangle_budget)
        return best
    best = found
    # Step by step decimation gets further than at one go.
    while budget // 4 >= FEWEST_TRIANGLES and (budget > triangle_budget or best.largest_distance_mm < ROOM * margin_mm):
        budget //= 4
        surface = _coarser(surface, budget, step)
        found = inner.enclosed_by(surface, mask, margin_mm / 2)
        if found is None or not _within(found, margin_mm):
            break
        best = found
    _warn(best, margin_mm, triangle_budget)
    return best


def _within(found: CollisionMesh | None, margin_mm: float) -> bool:
    return found is not None and found.largest_distance_mm <= margin_mm


def _enclosing(mask: StructureMask, inner: _Inner, margin_mm: float, triangle_budget: int) -> CollisionMesh:
    """The first that encloses the structure, however far out: dilated by more, with all of its triangles, convex."""
    wider = _dilated(mask, inner, margin_mm, thin=True)
    coarser = inner.enclosed_by(_coarser(wider, triangle_budget, inner.step), mask, np.inf)
    found = coarser or inner.enclosed_by(wider, mask, np.inf) or inner.enclosed_by(inner.hull(mask), mask, np.inf)
    assert found is not None, "a convex hull encloses"
    return found


@dataclass(frozen=True, eq=False)
class _Inner:
    """What is to be enclosed: the visual mesh, and the voxel centers that are not inside of it.

    `step` is called after each piece of work that takes a moment.
    """

    visual: SurfaceQueries
    centers_mm: NDArray[np.float64]
    step: Callable[[], None]

    @staticmethod
    def of(mask: StructureMask, visual: Mesh, step: Callable[[], None]) -> _Inner:
        queries = SurfaceQueries(visual)
        border = mask.array & ~binary_erosion(mask.array)
        centers_mm = mask.geometry.index_to_lps(np.argwhere(border)[:, ::-1])
        outside = ~queries.contains(centers_mm)
        step()
        return _Inner(queries, centers_mm[outside], step)

    def to_centers_mm(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(N,)` distances from points to the nearest of the centers; infinite where there are none."""
        if len(self.centers_mm) == 0:
            return np.full(len(points_mm), np.inf)
        return np.asarray(cKDTree(self.centers_mm).query(points_mm)[0], np.float64)

    def hull(self, mask: StructureMask) -> Surface:
        """The convex hull of the structure, in mm along the axes of the mask's grid."""
        points_mm = np.concatenate([self.visual.mesh.vertices_mm, self.centers_mm])
        points_mm = mask.geometry.lps_to_index(points_mm) * mask.geometry.spacing_mm
        hull = ConvexHull(points_mm)
        triangles = hull.simplices.astype(np.int32)
        inward = np.einsum("ti,ti->t", area_vectors(points_mm, triangles), hull.equations[:, :3]) < 0
        triangles[inward] = triangles[inward, ::-1]
        corners, triangles = np.unique(triangles, return_inverse=True)
        return Surface(points_mm[corners], triangles.reshape(-1, 3).astype(np.int32))

    def enclosed_by(self, surface: Surface, mask: StructureMask, limit_mm: float) -> CollisionMesh | None:
        """The surface as a mesh, moved outward until it encloses the structure; None where `limit_mm` is not enough."""
        moved_mm = 0.0
        for _ in range(ENLARGEMENTS):
            mesh = surface_to_mesh(surface, mask)
            outside_mm = self._outside_mm(mesh)
            self.step()
            if outside_mm <= 0:
                a, b, c = (mesh.vertices_mm[mesh.triangles[:, corner]] for corner in range(3))
                on_mesh = np.concatenate([mesh.vertices_mm, (a + b) / 2, (b + c) / 2, (c + a) / 2, (a + b + c) / 3])
                distance_mm = np.minimum(self.visual.nearest(on_mesh)[0], self.to_centers_mm(on_mesh))
                self.step()
                return CollisionMesh(mesh, float(distance_mm.max()))
            step_mm = 1.2 * outside_mm + 0.02  # faces move less than their corners
            moved_mm += step_mm
            if moved_mm > limit_mm:
                break
            outward = vertex_normals(surface.vertices_mm, surface.triangles)
            surface = Surface(surface.vertices_mm + step_mm * outward, surface.triangles)
        return None

    def _outside_mm(self, mesh: Mesh) -> float:
        """How far the structure reaches out of a mesh; 0 where it is enclosed."""
        queries = SurfaceQueries(mesh)
        depth_mm = -queries.signed_distance(self.visual.mesh.vertices_mm)
        outside_mm = max(0.0, -float(depth_mm.min()), float(queries.signed_distance(self.centers_mm).max(initial=0.0)))
        if outside_mm > 0:
            return outside_mm
        from_visual_mm = self.visual.nearest(mesh.vertices_mm)[0]
        if _crosses(self.visual.mesh, mesh, depth_mm) or _crosses(mesh, self.visual.mesh, from_visual_mm):
            return 0.05  # an edge or a corner just comes through a face
        return 0.0


def _coarser(surface: Surface, triangle_budget: int, step: Callable[[], None]) -> Surface:
    smaller = decimate(surface, triangle_budget, warn=False)
    step()
    vertices_mm, _ = without_self_intersections(smaller.vertices_mm, smaller.triangles)
    step()
    return Surface(vertices_mm, smaller.triangles)


def _crosses(mesh: Mesh, other: Mesh, distance_mm: NDArray[np.float64]) -> bool:
    """True where an edge of `mesh`, whose vertices are `distance_mm` from the other, goes through a face of that."""
    start, end = mesh.triangles.reshape(-1), mesh.triangles[:, [1, 2, 0]].reshape(-1)
    length_mm = np.linalg.norm(mesh.vertices_mm[start] - mesh.vertices_mm[end], axis=1)
    can = (start < end) & (distance_mm[start] + distance_mm[end] <= length_mm)
    return edge_crossings(mesh.vertices_mm, start[can], end[can], other.vertices_mm, other.triangles)[0].size > 0


def _dilated(mask: StructureMask, inner: _Inner, margin_mm: float, thin: bool = False) -> Surface:
    """The closed surface half a margin outside of the structure, in mm along the axes of the mask's grid.

    Further out where the structure is `thin` and the voxels coarse, so that no part of it falls between them.
    """
    spacing_mm = np.array(mask.geometry.spacing_mm)
    steps = np.maximum(1, (STEP * margin_mm / spacing_mm).astype(int))
    cell_mm = steps * spacing_mm
    diagonal_mm = float(np.linalg.norm(cell_mm))
    offset_mm = max(margin_mm, diagonal_mm if thin else 0.0) / 2
    pad = np.ceil(offset_mm / spacing_mm).astype(int) + 2 * steps
    padded = np.pad(mask.array, [(n, n) for n in pad[::-1]])
    block = (int(steps[2]), int(steps[1]), int(steps[0]))  # (k, j, i)
    cells = in_blocks(padded, block, np.logical_or)
    first = (steps - 1) / 2 - pad  # index of the first cell's center
    grid = mask.geometry.padded(tuple(pad.tolist())).in_blocks(tuple(steps.tolist()))

    # Exact where the surface can be: within a cell's edge of the offset. A cell with a voxel in it knows the distance
    # but for where in it the voxel is and how far the mesh is from that. One full of voxels lies inside: too far away
    # where its edge is no longer than the offset.
    around_mm = tuple(cell_mm[::-1])
    outside_mm = edt.edt(~cells, anisotropy=around_mm, black_border=False, parallel=2)
    in_cell_mm = float(np.linalg.norm(cell_mm - spacing_mm)) / 2 + 1.5 * float(spacing_mm.max())
    if cell_mm.max() <= offset_mm:
        deep = in_blocks(padded, block, np.logical_and)
    else:
        deep = edt.edt(cells, anisotropy=around_mm, black_border=False, parallel=2) > 1.01 * diagonal_mm
    near = np.nonzero((outside_mm <= offset_mm + cell_mm.max() + in_cell_mm) & ~deep)
    points_mm = grid.index_to_lps(np.stack(near[::-1], axis=1))
    distance_mm = np.minimum(inner.visual.signed_distance(points_mm), inner.to_centers_mm(points_mm))
    inner.step()
    field = np.where(cells, np.float32(diagonal_mm), -np.float32(diagonal_mm))
    field[near] = offset_mm - distance_mm

    # No surface around enclosed cavities, and no triangles without area, which come of zeros.
    least = np.float32(0.01 * cell_mm.min())
    inside = fill_voids.fill(field > -least)
    field[inside] = field[inside].clip(min=least)
    vertices, triangles = isosurface(field, tuple(cell_mm), 0.0)
    inner.step()
    return Surface(vertices + first * spacing_mm, triangles.astype(np.int32))


def _warn(found: CollisionMesh, margin_mm: float, triangle_budget: int) -> None:
    """One line for all that was exceeded."""
    triangles = len(found.mesh.triangles)
    exceeded = []
    if found.largest_distance_mm > margin_mm:
        exceeded.append(f"reaches {found.largest_distance_mm:.1f} mm out, beyond the margin of {margin_mm:.1f} mm,")
    if triangles > triangle_budget:
        exceeded.append(f"takes {triangles} triangles instead of {triangle_budget}")
    if exceeded:
        _log.warning(
            "the collision mesh of %s %s; count on that, or raise the margin",
            found.mesh.structure.title, " and ".join(exceeded).rstrip(","),
        )  # fmt: skip
