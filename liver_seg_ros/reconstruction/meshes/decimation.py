# SPDX-License-Identifier: Apache-2.0
"""Fewer triangles, the same closed surface.

`fast-simplification` is an order of magnitude faster than the other quadric decimations but does not look at topology:
on thin branches it leaves edges with four triangles and drops small parts, without an error. So its result is checked.
Where it broke the surface, the edges that it collapsed there are put back, which it has told one by one, and the rest,
decimated already, makes up for them; where that is not enough, it goes on in smaller steps. A budget that a closed
surface cannot meet is exceeded, with a warning in the log.
"""

from __future__ import annotations

import logging
import threading

import fast_simplification
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.progress import Done, approaching, not_told, part_of
from liver_seg_ros.reconstruction.meshes.surfaces import Surface
from liver_seg_ros.reconstruction.meshes.triangles import (
    area_vectors,
    defect_vertices,
    fans,
    parts_of_vertices,
    restore_volume,
    signed_volumes,
)

_log = logging.getLogger(__name__)

#: fast-simplification keeps the mesh being worked on in module-level state.
_fast_simplification_lock = threading.Lock()

#: 7 is exact and reaches most targets; the higher ones are for those where it stops early.
AGGRESSIVENESS = (7.0, 9.0, 11.0)

#: Rounds of putting back what was broken before a step counts as failed.
ROUNDS = 6

#: A part of more than so many times the triangles asked for is decimated to the second number of times first. Quadrics
#: are then taken of the surface anew: on a phantom's vessels the error is a tenth less.
LONG_WAY, LAST_STEP = 8.0, 1.7

#: The same of a surface without thin branches, which breaks near its end if anywhere.
LONG_WAY_ROUND, LAST_STEP_ROUND = 3.0, 1.5

#: Which share of the triangles the first of the smaller steps leaves, and one that is too small to go on with.
HALF, SMALLEST_STEP = 0.5, 0.9

#: A part of fewer triangles is kept as it is, as long as the budget allows it.
SMALL_PART = 64


def decimate(
    surface: Surface,
    triangle_budget: int,
    done: Done = not_told,
    *,
    warn: bool = True,
    thin: bool = True,
    by_steps: bool = True,
) -> Surface:
    """The surface with at most `triangle_budget` triangles, still closed, with the same parts and their volumes.

    Args:
        surface: a closed surface; each connected part is decimated by itself, so that none is lost.
        triangle_budget: triangles of all parts together. Exceeded, with a warning logged, where closed surfaces of so
            many parts or so thin branches cannot be had for it.
        done: is told how much of the surface is decimated.
        warn: False where it is a mere try.
        thin: False for a surface without thin branches, of which there is less to be careful with.
        by_steps: False where a part that does not come to its share at one go may keep more triangles, up to all of
            them: smaller steps take several times as long.
    """
    vertices, triangles = surface.vertices_mm, surface.triangles
    if len(triangles) <= triangle_budget:
        return surface
    parts = _split(vertices, triangles)
    floor = max(8, min(SMALL_PART, triangle_budget // (2 * len(parts))))
    budget_left, triangles_left = triangle_budget, len(triangles)
    decimated = []
    for part in sorted(parts, key=lambda part: len(part.triangles)):  # what the small ones leave goes to the large ones
        share = budget_left * len(part.triangles) // triangles_left
        told = 1 - triangles_left / len(triangles)
        triangles_left -= len(part.triangles)
        part_done = part_of(done, told, 1 - triangles_left / len(triangles))
        smaller = _decimate_part(part, max(floor, share), part_done, thin, by_steps)
        budget_left -= len(smaller.triangles)
        decimated.append(smaller)
    merged = _merge(decimated)
    if warn and len(merged.triangles) > triangle_budget:
        _log.warning(
            "a closed surface of %d parts takes %d triangles instead of %d; raise the triangle budget, or remove parts",
            len(parts), len(merged.triangles), triangle_budget,
        )  # fmt: skip
    return merged


def _decimate_part(part: Surface, target: int, done: Done, thin: bool, by_steps: bool) -> Surface:
    """A connected part with `target` triangles, or with as few as it can have while it stays closed and one."""
    next_step = approaching(done, 0.5)
    current, step = part, 0.0  # at first straight to the target, then to halves, to three quarters
    long_way, last_step = (LONG_WAY, LAST_STEP) if thin else (LONG_WAY_ROUND, LAST_STEP_ROUND)
    if len(part.triangles) > long_way * target:
        nearer = _collapse(part, int(last_step * target))
        current, step = (part, HALF) if nearer is None else (nearer, 0.0)
        next_step()
    while len(current.triangles) > target and step < (SMALLEST_STEP if by_steps else HALF):
        goal = max(target, int(len(current.triangles) * step))
        smaller = _collapse(current, goal)
        if smaller is None or len(smaller.triangles) > 0.98 * len(current.triangles):
            step = (1 + step) / 2
        else:
            current = smaller
        next_step()
    done(1.0)
    if current is part:
        return part
    volume_mm3 = signed_volumes(part.vertices_mm, part.triangles).sum(keepdims=True)
    one_group = np.zeros(len(current.vertices_mm), np.intp)
    area_mm2 = np.linalg.norm(area_vectors(current.vertices_mm, current.triangles), axis=1).sum()
    quarter_radius_mm = float(volume_mm3[0] / area_mm2) / 2  # of a tube
    restored = restore_volume(current.vertices_mm, current.triangles, one_group, volume_mm3, quarter_radius_mm)
    return Surface(restored, current.triangles)


def _collapse(part: Surface, goal: int) -> Surface | None:
    """The part with about `goal` triangles, checked; None where it does not stay closed, connected and solid."""
    collapsed = _Collapsed(part)
    for attempt in range(ROUNDS):
        if not collapsed.go_on(goal):
            return None
        smaller, numbers = collapsed.surface()
        broken = defect_vertices(smaller.triangles, len(smaller.vertices_mm))
        if broken.size == 0:
            # Sheets that came to touch in a vertex part again, and so may branches where they should not.
            fan, vertex = fans(smaller.triangles, len(smaller.vertices_mm))
            parted = Surface(smaller.vertices_mm[vertex], fan)
            if _is_same_solid(part, parted):
                return parted
            broken = np.flatnonzero(np.bincount(vertex) > 1)
            if broken.size == 0:
                return None
        corners = smaller.vertices_mm[smaller.triangles]
        edge_mm = float(np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1).mean())
        tree = cKDTree(smaller.vertices_mm, balanced_tree=False, compact_nodes=False)  # asked a few times only
        near = tree.query_ball_point(smaller.vertices_mm[broken], edge_mm * (1 + attempt / 2))
        collapsed.undo(numbers[np.concatenate(near).astype(np.intp)])
    return None


def _is_same_solid(before: Surface, after: Surface) -> bool:
    """False where a part fell apart, or collapsed into two triangles back to back."""
    count, _ = parts_of_vertices(after.triangles, len(after.vertices_mm))
    volume_before = signed_volumes(before.vertices_mm, before.triangles).sum()
    return count == 1 and bool(signed_volumes(after.vertices_mm, after.triangles).sum() > 0.5 * volume_before)


class _Collapsed:
    """A part with more and more of its edges collapsed, which can be undone where it was wrong.

    Args:
        part: the surface `(V, 3)`, `(T, 3)` that it begins with. All numbers of vertices are its own.
    """

    def __init__(self, part: Surface) -> None:
        self._part = part
        self._onto = np.arange(len(part.vertices_mm), dtype=np.int32)  # which vertex each has become
        self._vertices_mm = part.vertices_mm.copy()
        self._kept = np.zeros(len(part.vertices_mm), bool)  # vertices whose triangles stay as they were

    def go_on(self, goal: int) -> bool:
        """Collapse to about `goal` triangles all but what was undone; False where that leaves too few to collapse."""
        triangles = self._triangles()
        kept = self._kept[triangles].any(axis=1)
        if kept.sum() > 0.8 * goal:
            return False
        used = np.zeros(len(self._onto), bool)
        used[triangles[~kept]] = True
        numbers, loose = np.flatnonzero(used).astype(np.int32), (np.cumsum(used, dtype=np.int32) - 1)[triangles[~kept]]
        for aggressiveness in AGGRESSIVENESS:
            with _fast_simplification_lock:
                moved_mm, smaller, collapses = fast_simplification.simplify(
                    self._vertices_mm[numbers],
                    loose,
                    target_count=min(len(loose), max(4, goal - int(kept.sum()))),
                    agg=aggressiveness,
                    preserve_border=bool(kept.any()),
                    return_collapses=True,
                )
            if len(smaller) + kept.sum() <= goal:
                break
        onto = np.arange(len(numbers), dtype=np.int32)
        onto[collapses[:, 1]] = collapses[:, 0]
        while not np.array_equal(further := onto[onto], onto):
            onto = further
        left = np.zeros(len(numbers), bool)
        left[_with_area(onto[loose])] = True
        self._vertices_mm[numbers[left]] = moved_mm  # given in the same order
        became = np.arange(len(self._onto), dtype=np.int32)
        became[numbers] = numbers[onto]
        self._onto = became[self._onto]
        return True

    def undo(self, vertices: NDArray[np.intp]) -> None:
        """Make what has become one of these as it was in the beginning, and keep it so."""
        wrong = np.zeros(len(self._onto), bool)
        wrong[vertices] = True
        again = np.flatnonzero(wrong[self._onto]).astype(np.int32)
        self._onto[again] = again
        self._vertices_mm[again] = self._part.vertices_mm[again]
        self._kept[again] = True

    def surface(self) -> tuple[Surface, NDArray[np.intp]]:
        """The surface as it is now, and the number `(V,)` in the part of each of its vertices."""
        triangles = self._triangles()
        used = np.zeros(len(self._onto), bool)
        used[triangles] = True
        return _compact(self._vertices_mm, triangles), np.flatnonzero(used)

    def _triangles(self) -> NDArray[np.int32]:
        return _with_area(self._onto[self._part.triangles])


def _with_area(triangles: NDArray[np.int32]) -> NDArray[np.int32]:
    """Those with three different corners."""
    a, b, c = triangles.T
    return triangles[(a != b) & (b != c) & (c != a)]


def _compact(vertices: NDArray[np.float64], triangles: NDArray[np.int32]) -> Surface:
    """The surface of `triangles` with only the vertices that they use."""
    used = np.zeros(len(vertices), bool)
    used[triangles] = True
    renumbered = np.cumsum(used, dtype=np.int32) - 1
    return Surface(vertices[used], renumbered[triangles])


def _split(vertices: NDArray[np.float64], triangles: NDArray[np.int32]) -> list[Surface]:
    count, part_of_vertex = parts_of_vertices(triangles, len(vertices))
    if count == 1:
        return [Surface(vertices, triangles)]
    part = part_of_vertex[triangles[:, 0]]
    order = np.argsort(part, kind="stable")
    starts = np.flatnonzero(np.diff(part[order])) + 1
    pieces = []
    for piece in np.split(triangles[order], starts):
        ids, local = np.unique(piece, return_inverse=True)
        pieces.append(Surface(vertices[ids], local.reshape(-1, 3).astype(np.int32)))
    return pieces


def _merge(parts: list[Surface]) -> Surface:
    offsets = np.cumsum([0] + [len(part.vertices_mm) for part in parts[:-1]])
    triangles = [part.triangles + offset for part, offset in zip(parts, offsets, strict=True)]
    vertices = np.concatenate([part.vertices_mm for part in parts])
    return Surface(vertices, np.concatenate(triangles).astype(np.int32))
