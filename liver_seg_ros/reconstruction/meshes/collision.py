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
from typing import TypeGuard

import numpy as np

from liver_seg_ros.errors import InputError
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.progress import Done, approaching, not_told
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.meshes.decimation import decimate
from liver_seg_ros.reconstruction.meshes.dilation import cell_steps, dilated
from liver_seg_ros.reconstruction.meshes.enclosed import Enclosed
from liver_seg_ros.reconstruction.meshes.enlargement import enlarged
from liver_seg_ros.reconstruction.meshes.self_intersections import without_self_intersections
from liver_seg_ros.reconstruction.meshes.surfaces import Surface
from liver_seg_ros.reconstruction.meshes.triangles import area_vectors, signed_volumes
from liver_seg_ros.short_repr import short_repr

_log = logging.getLogger(__name__)

#: Fewer triangles are not tried for.
FEWEST_TRIANGLES = 1_000

#: How many times as many are tried for next.
NEXT = 4

#: Still fewer are tried while the mesh is closer than this part of the margin.
ROOM = 0.75

#: How much of what is left is told to be done after each step of the work.
STEP_SHARE = 0.15

#: Size and diagonal of the cells in which the surface is looked for, in margins, where voxels are smaller. Half the
#: diagonal is less than half a margin, so that no branch falls between the corners of a cell, however thin it is.
STEP, DIAGONAL = 0.55, 0.98

#: The size for a structure that is thicker on average than the margin. What of it is thinner, if anything, is found to
#: be outside, and the smaller cells are taken.
WIDE_STEP = 0.8


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
    inner = Enclosed.of(mask, visual, step)
    steps, wide = cell_steps(mask, STEP * margin_mm, DIAGONAL * margin_mm), cell_steps(mask, WIDE_STEP * margin_mm)
    if _is_thick(visual, margin_mm) and (wide >= steps).all() and (wide > steps).any():
        surface = dilated(mask, inner, margin_mm / 2, wide)
        for budget in _budgets(triangle_budget):
            smaller = decimate(surface, budget, warn=False, thin=False, by_steps=budget == triangle_budget)
            step()
            if len(smaller.triangles) > NEXT * budget:  # too winding for so few; the next number does it in less time
                continue
            found = _enclosing(_apart(smaller, step), inner, mask, margin_mm / 2)
            if _within(found, margin_mm) and len(found.mesh.triangles) <= triangle_budget:
                return found
    fine = dilated(mask, inner, margin_mm / 2, steps)
    tries: dict[int, tuple[Surface, CollisionMesh | None]] = {}

    def keeps_within(budget: int) -> bool:
        surface = _coarser(fine, budget, step)
        tries[budget] = surface, _enclosing(surface, inner, mask, margin_mm / 2)
        return _within(tries[budget][1], margin_mm)

    budget = triangle_budget
    if not keeps_within(budget) and len(fine.triangles) > budget:
        # Where so many do not keep to it, the voxels are too coarse for the margin and no number of triangles does.
        budget = 4 * triangle_budget
        budget = 2 * triangle_budget if keeps_within(budget) and keeps_within(budget // 2) else budget
    surface, found = tries[budget]
    if _within(found, margin_mm):
        best = _fewest(budget, surface, found, inner, mask, margin_mm, triangle_budget)
    else:  # as few as asked for, and whatever encloses the structure
        best = tries[triangle_budget][1] or _whatever_encloses(mask, inner, margin_mm, triangle_budget)
    _warn(best, margin_mm, triangle_budget)
    return best


def _is_thick(mesh: Mesh, margin_mm: float) -> bool:
    """Whether volume by area, which is half the radius of a tube and a third of that of a ball, exceeds the margin."""
    area_mm2 = np.linalg.norm(area_vectors(mesh.vertices_mm, mesh.triangles), axis=1).sum()
    return bool(signed_volumes(mesh.vertices_mm, mesh.triangles).sum() > margin_mm * area_mm2)


def _budgets(triangle_budget: int) -> list[int]:
    """From the fewest that are tried for, each a part of the next, to what is asked for."""
    budgets = [triangle_budget]
    while budgets[0] // NEXT >= FEWEST_TRIANGLES:
        budgets.insert(0, budgets[0] // NEXT)
    return budgets


def _within(found: CollisionMesh | None, margin_mm: float) -> TypeGuard[CollisionMesh]:
    return found is not None and found.largest_distance_mm <= margin_mm


def _coarser(surface: Surface, triangle_budget: int, step: Callable[[], None]) -> Surface:
    smaller = decimate(surface, triangle_budget, warn=False, thin=False)
    step()
    return _apart(smaller, step)


def _apart(surface: Surface, step: Callable[[], None]) -> Surface:
    """The surface put right where it goes through itself."""
    vertices_mm, _ = without_self_intersections(surface.vertices_mm, surface.triangles)
    step()
    return Surface(vertices_mm, surface.triangles)


def _enclosing(surface: Surface, inner: Enclosed, mask: StructureMask, limit_mm: float) -> CollisionMesh | None:
    """The surface as a mesh, moved outward until it encloses the structure; None where `limit_mm` is not enough."""
    mesh = enlarged(surface, inner, mask, limit_mm)
    if mesh is None:
        return None
    furthest_mm = inner.furthest_mm(mesh)
    inner.step()
    return CollisionMesh(mesh, furthest_mm)


def _fewest(
    budget: int,
    surface: Surface,
    best: CollisionMesh,
    inner: Enclosed,
    mask: StructureMask,
    margin_mm: float,
    triangle_budget: int,
) -> CollisionMesh:
    """`best`, of the surface with this budget, or one of fewer triangles that keeps to the margin too.

    Step by step decimation gets further than at one go.
    """
    budget = min(budget, len(surface.triangles))
    while budget // NEXT >= FEWEST_TRIANGLES and (
        budget > triangle_budget or best.largest_distance_mm < ROOM * margin_mm
    ):
        budget //= NEXT
        surface = _coarser(surface, budget, inner.step)
        found = _enclosing(surface, inner, mask, margin_mm / 2)
        if not _within(found, margin_mm):
            break
        best = found
    return best


def _whatever_encloses(mask: StructureMask, inner: Enclosed, margin_mm: float, triangle_budget: int) -> CollisionMesh:
    """The first that encloses, however far out: dilated by more, with all of its triangles, convex."""
    steps = cell_steps(mask, STEP * margin_mm)
    diagonal_mm = float(np.linalg.norm(steps * mask.geometry.spacing_mm))
    wider = dilated(mask, inner, max(margin_mm, diagonal_mm) / 2, steps)  # so that nothing falls between the voxels
    tries = (lambda: _coarser(wider, triangle_budget, inner.step), lambda: wider, lambda: inner.hull(mask))
    found = next(filter(None, (_enclosing(surface(), inner, mask, np.inf) for surface in tries)), None)
    assert found is not None, "a convex hull encloses"
    return found


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
