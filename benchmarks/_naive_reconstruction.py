# SPDX-License-Identifier: Apache-2.0
"""Reconstruction as one writes it first: every library's first function, each on the whole volume.

What `reconstruction.py` compares with: scikit-image's marching cubes per label, open3d's smoothing and decimation,
SciPy's distance transform, labelling and convex hulls, scikit-image's skeleton. It makes what
`liver_seg_ros.reconstruction` makes: two meshes per structure, a labelled cloud, a vessel tree, distance fields,
measurements.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import open3d
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import ConvexHull, cKDTree
from scipy.spatial.distance import pdist
from skimage.measure import marching_cubes
from skimage.morphology import skeletonize

from liver_seg_ros.labels import LIVER, SEGMENTED, VESSEL
from liver_seg_ros.volume import LabelVolume

TRIANGLES = 30_000
POINT_SPACING_MM = 2.0
TAUBIN_ITERATIONS = 10
CORNERS = np.ones((3, 3, 3))


def reconstruct_naively(labels: LabelVolume, collision_margin_mm: float, seconds: dict[str, float]) -> dict[str, Any]:
    """Everything; meshes and collision meshes as structure name -> (vertices in LPS mm, triangles).

    Adds what each stage took to `seconds`.
    """
    spacing = np.array(labels.geometry.spacing_mm)
    found: dict[str, Any] = {"meshes": {}, "collision": {}, "fields": {}, "measurements": {}, "points": []}
    for structure in SEGMENTED:
        mask = labels.array > 0 if structure == LIVER else labels.array == structure.value
        with _timed(seconds, "distance fields"):
            inside = distance_transform_edt(mask, spacing[::-1])
            field = np.asarray(distance_transform_edt(~mask, spacing[::-1]) - inside, np.float32)
        with _timed(seconds, "surfaces"):
            mesh = _surface(mask, 0.5, spacing).filter_smooth_taubin(TAUBIN_ITERATIONS)
            collision = _surface(-field, -collision_margin_mm, spacing)
        with _timed(seconds, "decimation"):
            mesh = mesh.simplify_quadric_decimation(TRIANGLES)
            collision = collision.simplify_quadric_decimation(TRIANGLES)
            mesh.compute_vertex_normals()
        with _timed(seconds, "cloud"):
            points = mesh.sample_points_uniformly(int(mesh.get_surface_area() / POINT_SPACING_MM**2))
            found["points"].append(np.asarray(points.points))
        with _timed(seconds, "measurements"):
            found["measurements"][structure.name] = _measure(mask, spacing)
        if structure == VESSEL:
            with _timed(seconds, "vessel tree"):
                found["tree"] = _tree(mask, inside, spacing)
        found["fields"][structure.name] = field
        found["meshes"][structure.name] = _arrays(mesh, labels)
        found["collision"][structure.name] = _arrays(collision, labels)
    return found


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


def _surface(volume: NDArray[Any], level: float, spacing: NDArray[np.float64]) -> open3d.geometry.TriangleMesh:
    vertices, triangles, _, _ = marching_cubes(volume, level, spacing=tuple(spacing[::-1]))
    return open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(vertices[:, ::-1].astype(float)),
        open3d.utility.Vector3iVector(triangles.astype(np.int32)),
    )


def _arrays(mesh: open3d.geometry.TriangleMesh, labels: LabelVolume) -> tuple[NDArray[Any], NDArray[Any]]:
    geometry = labels.geometry
    vertices = np.asarray(mesh.vertices) @ geometry.direction_matrix.T + np.array(geometry.origin_mm)
    return vertices, np.asarray(mesh.triangles)


def _measure(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Volume in ml and largest diameter in mm of each connected part."""
    parts, count = label(mask, CORNERS)
    measured = []
    for part in range(1, count + 1):
        voxels = np.argwhere(parts == part) * spacing[::-1]
        corners = voxels if len(voxels) < 500 else voxels[ConvexHull(voxels).vertices]
        diameter = float(pdist(corners).max()) if len(corners) > 1 else 0.0
        measured.append((len(voxels) * float(spacing.prod()) / 1000, diameter))
    return measured


def _tree(mask: NDArray[np.bool_], inside: NDArray[Any], spacing: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Skeleton voxels joined by a minimum spanning tree, with the distance to the wall as radius."""
    voxels = np.argwhere(skeletonize(mask))
    pairs = cKDTree(voxels).query_pairs(1.8, output_type="ndarray")
    lengths = np.linalg.norm((voxels[pairs[:, 0]] - voxels[pairs[:, 1]]) * spacing[::-1], axis=1)
    graph = coo_array((lengths, (pairs[:, 0], pairs[:, 1])), shape=(len(voxels), len(voxels)))
    edges = np.stack(minimum_spanning_tree(graph.tocsr()).nonzero(), axis=1)
    return {"points": voxels[:, ::-1] * spacing, "radius": inside[tuple(voxels.T)], "edges": edges}
