# SPDX-License-Identifier: Apache-2.0
"""Evenly spread, labelled points with normals on the surfaces."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.errors import InputError
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.reconstruction.meshes.triangles import area_vectors

_log = logging.getLogger(__name__)

#: Random points per disk of one spacing's diameter; out of them an even subset is chosen, with gaps below 1.5 spacings.
CANDIDATES_PER_DISK = 8.0

#: Random points on one mesh at most: 1 GB while the even subset is chosen. At 2 mm they suffice for 2 m^2, twenty times
#: a liver; where they do not, points are further apart.
MOST_CANDIDATES = 5_000_000


def sample_surfaces(meshes: Iterable[Mesh], spacing_mm: float, seed: int = 0) -> PointCloud:
    """Points on all meshes, at least `spacing_mm` apart within a structure and hardly ever 1.5 times that.

    The same meshes, spacing and seed give the same cloud. Every part of a mesh has a point, however small it is. On a
    mesh too large for that spacing (`MOST_CANDIDATES`) points are further apart, which is logged.

    Raises:
        InputError: the spacing is not positive.
    """
    if not spacing_mm > 0:
        raise InputError(f"a spacing of {spacing_mm} mm between points is not positive")
    random = np.random.default_rng(seed)
    points, normals, labels = [np.empty((0, 3))], [np.empty((0, 3))], [np.empty(0, np.uint8)]
    for mesh in meshes:
        apart_mm = _affordable(mesh, spacing_mm)
        on_mesh, normal = _candidates(mesh, apart_mm, random)
        chosen = _spread(on_mesh, apart_mm)
        points.append(on_mesh[chosen])
        normals.append(normal[chosen])
        labels.append(np.full(len(chosen), mesh.structure.value, np.uint8))
    return PointCloud(
        np.concatenate(points).astype(np.float32), np.concatenate(normals).astype(np.float32), np.concatenate(labels)
    )


def _affordable(mesh: Mesh, spacing_mm: float) -> float:
    """The spacing, or the least for which `MOST_CANDIDATES` suffice."""
    area_mm2 = float(np.linalg.norm(area_vectors(mesh.vertices_mm, mesh.triangles), axis=1).sum())
    least_mm = float(np.sqrt(area_mm2 * CANDIDATES_PER_DISK / (np.pi / 4 * MOST_CANDIDATES)))
    if least_mm <= spacing_mm:
        return spacing_mm
    _log.warning(
        "points on %s are %.3g mm apart and not %.3g mm: its surface is %.3g m^2; ask for a larger spacing",
        mesh.structure.title, least_mm, spacing_mm, area_mm2 / 1e6,
    )  # fmt: skip
    return least_mm


def _candidates(
    mesh: Mesh, spacing_mm: float, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`(N, 3)` points in random order, as many per area everywhere but at least one per triangle, and their normals."""
    vectors = area_vectors(mesh.vertices_mm, mesh.triangles)
    per_mm2 = CANDIDATES_PER_DISK / (np.pi / 4 * spacing_mm**2)
    copies = np.ceil(np.linalg.norm(vectors, axis=1) * per_mm2).astype(np.intp).clip(min=1)
    triangle = random.permutation(np.repeat(np.arange(len(copies)), copies))
    # Uniform in a triangle: the square root evens out that it narrows towards its first corner.
    to_edge, along = np.sqrt(random.random(len(triangle))), random.random(len(triangle))
    weights = np.stack([1 - to_edge, to_edge * (1 - along), to_edge * along], axis=1)  # (N, 3 corners)
    corners = mesh.triangles[triangle]
    points = np.einsum("nc,ncx->nx", weights, mesh.vertices_mm[corners].astype(np.float64))
    normals = np.einsum("nc,ncx->nx", weights, mesh.normals[corners].astype(np.float64))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    face = vectors[triangle] / np.linalg.norm(vectors[triangle], axis=1, keepdims=True).clip(min=1e-30)
    normals = np.where(length > 1e-6, normals / length.clip(min=1e-30), face)
    has_normal = np.linalg.norm(normals, axis=1) > 0.5  # none on a triangle without area between opposite normals
    return points[has_normal], normals[has_normal]


def _spread(points: NDArray[np.float64], spacing_mm: float) -> NDArray[np.intp]:
    """Indices of a subset in which no two points are closer than the spacing and to which none can be added.

    Poisson-disk sampling by dart throwing: one point after the other is taken where no earlier one is within the
    spacing. The first sixteenth rules out most of the next, and so on; only what is left is compared pair by pair.
    """
    taken = np.empty(0, np.intp)
    ends = [len(points) >> halvings for halvings in (4, 3, 2, 1, 0)]
    for start, stop in pairwise([0, *ends]):
        darts = np.arange(start, stop)
        if len(taken):
            nearest_mm, _ = cKDTree(points[taken]).query(points[darts], distance_upper_bound=spacing_mm)
            darts = darts[np.isinf(nearest_mm)]
        taken = np.concatenate([taken, darts[_throw(points[darts], spacing_mm)]])
    return np.sort(taken)


def _throw(points: NDArray[np.float64], spacing_mm: float) -> NDArray[np.bool_]:
    """`(N,)` which points are taken one after the other; all at once those for which no earlier one is in question."""
    pairs = cKDTree(points).query_pairs(spacing_mm, output_type="ndarray")
    earlier, later = pairs.min(axis=1), pairs.max(axis=1)
    undecided = np.ones(len(points), bool)
    taken = np.zeros(len(points), bool)
    while undecided.any():
        waits = np.zeros(len(points), bool)
        waits[later] = True
        now = undecided & ~waits
        taken |= now
        undecided &= ~now
        undecided[later[now[earlier]]] = False
        open_pairs = undecided[earlier] & undecided[later]
        earlier, later = earlier[open_pairs], later[open_pairs]
    return taken
