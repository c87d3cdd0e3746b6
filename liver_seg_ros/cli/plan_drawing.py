# SPDX-License-Identifier: Apache-2.0
"""What a plan adds to the pictures, as meshes like the structures': an ablation's zone, a resection's plane, what is
found by HU or by a map of the surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyvista as pv
from numpy.typing import NDArray

from liver_seg_ros.labels import Structure
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.ablation_zone import AblationZone
from liver_seg_ros.planning.questions import Answers

#: No rows of the label table: they are drawn, never a voxel's value.
ZONE = Structure(0, "ablation_zone", (230, 159, 0), 0.35, "", "")
PLANE = Structure(0, "resection_plane", (120, 70, 160), 0.35, "", "")

#: What is found without a label must not hide what is labelled, and is drawn so far around it and the trajectories.
BY_HU_OPACITY, AROUND_MM = 0.25, 10.0

#: How far the plane reaches beyond the structures.
PLANE_MARGIN_MM = 10.0


def drawn_meshes(answers: Answers, meshes: Sequence[Mesh]) -> tuple[Mesh, ...]:
    """What the answers add to the structures' `meshes`."""
    ends = [end for way in answers.trajectories for end in (way.trajectory.entry_mm, way.trajectory.target_mm)]
    places = np.concatenate([*(mesh.vertices_mm for mesh in meshes), np.reshape(ends, (-1, 3))])
    low, high = places.min(axis=0) - AROUND_MM, places.max(axis=0) + AROUND_MM
    drawn = [_drawn_around(mesh, "by_HU", low, high) for mesh in answers.by_hu.meshes]
    drawn += [_drawn_around(mesh, "by_map", low, high) for mesh in answers.by_map.meshes]
    if answers.ablation is not None:
        drawn.append(zone_mesh(answers.ablation.zone))
    if answers.question.resection_plane is not None:
        drawn.append(plane_mesh(*answers.question.resection_plane, meshes))
    return tuple(drawn)


def _drawn_around(mesh: Mesh, how: str, low: NDArray[np.floating], high: NDArray[np.floating]) -> Mesh:
    """The part of a surface between two corners, called by how it was found."""
    inside = np.all((mesh.vertices_mm >= low) & (mesh.vertices_mm <= high), axis=1)
    kept = mesh.triangles[np.all(inside[mesh.triangles], axis=1)]
    structure = replace(mesh.structure, name=f"{mesh.structure.name}_{how}", opacity=BY_HU_OPACITY)
    used, renumbered = np.unique(kept, return_inverse=True)
    triangles = renumbered.reshape(-1, 3).astype(np.int32)
    return Mesh(structure, mesh.vertices_mm[used], triangles, mesh.normals[used])


def zone_mesh(zone: AblationZone) -> Mesh:
    """The ellipsoid's surface."""
    ball = pv.Sphere(radius=1.0, theta_resolution=48, phi_resolution=48)
    axis = np.array(zone.axis)
    sideways = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    sideways /= np.linalg.norm(sideways)
    rotation = np.stack([axis, sideways, np.cross(axis, sideways)], axis=1)
    scaled = np.asarray(ball.points) * (zone.along_mm, zone.across_mm, zone.across_mm)
    normals = np.asarray(ball.points) / (zone.along_mm, zone.across_mm, zone.across_mm)  # of an ellipsoid, not unit
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return _mesh(ZONE, scaled @ rotation.T + zone.center_mm, normals @ rotation.T, ball)


def plane_mesh(point_mm: Sequence[float], normal: Sequence[float], meshes: Sequence[Mesh]) -> Mesh:
    """The part of a plane that lies in and around the structures."""
    vertices = np.concatenate([mesh.vertices_mm for mesh in meshes]).astype(np.float64)
    center = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    direction = np.array(normal) / np.linalg.norm(normal)
    center -= ((center - point_mm) @ direction) * direction
    edge_mm = float(np.linalg.norm(np.ptp(vertices, axis=0))) / 2 + 2 * PLANE_MARGIN_MM
    plane = pv.Plane(
        center=center.tolist(), direction=direction.tolist(), i_size=edge_mm, j_size=edge_mm, i_resolution=24,
        j_resolution=24,
    ).triangulate()  # fmt: skip
    one_side = _mesh(PLANE, np.asarray(plane.points), np.broadcast_to(direction, (plane.n_points, 3)), plane)
    return replace(
        one_side, triangles=np.concatenate([one_side.triangles, one_side.triangles[:, ::-1]])
    )  # and the other


def _mesh(
    structure: Structure, points: NDArray[np.floating], normals: NDArray[np.floating], surface: pv.PolyData
) -> Mesh:
    triangles = surface.faces.reshape(-1, 4)[:, 1:].astype(np.int32)
    return Mesh(structure, points.astype(np.float32), triangles, normals.astype(np.float32))
