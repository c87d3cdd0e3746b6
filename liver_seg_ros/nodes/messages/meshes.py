# SPDX-License-Identifier: Apache-2.0
"""Meshes to `liver_seg_interfaces/msg/StructureMeshArray` (for planners) and `MarkerArray` (for RViz), in metres."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import ArrayLike
from shape_msgs.msg import Mesh as ShapeMesh
from shape_msgs.msg import MeshTriangle
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from liver_seg_interfaces.msg import StructureMesh, StructureMeshArray
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.measurement import PartMeasurement, StructureMeasurement
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.nodes.messages.label_tables import color_of
from liver_seg_ros.nodes.messages.measurements import measurement_to_message
from liver_seg_ros.nodes.messages.points import mm_to_points
from liver_seg_ros.nodes.messages.volumes import FRAME_ID
from liver_seg_ros.reconstruction.meshes.triangles import is_watertight
from liver_seg_ros.rendering.lesion_colors import vertex_colors


def header(stamp: Time) -> Header:
    """A header in the frame of the CT."""
    return Header(stamp=stamp, frame_id=FRAME_ID)


def meshes_to_array(
    meshes: Iterable[Mesh],
    measurements: Iterable[StructureMeasurement],
    volume_uid: str,
    stamp: Time,
) -> StructureMeshArray:
    """Every mesh, be it the visual or the collision mesh, with what was measured of its structure."""
    by_structure: Mapping[str, StructureMeasurement] = {m.structure.name: m for m in measurements}
    array = StructureMeshArray(header=header(stamp), volume_uid=volume_uid)
    for mesh in meshes:
        measurement = by_structure[mesh.structure.name]
        array.meshes.append(
            StructureMesh(
                header=header(stamp),
                volume_uid=volume_uid,
                measurement=measurement_to_message(measurement),
                color=color_of(mesh.structure),
                mesh=mesh_to_shape(mesh),
                watertight=is_watertight(mesh.triangles, len(mesh.vertices_mm)),
            )
        )
    return array


def mesh_to_shape(mesh: Mesh, vertices_mm: ArrayLike | None = None) -> ShapeMesh:
    """As `shape_msgs/Mesh`, which MoveIt's collision objects take; with its vertices in another frame where given."""
    triangles = [MeshTriangle(vertex_indices=triangle) for triangle in mesh.triangles.astype(np.uint32)]
    return ShapeMesh(
        triangles=triangles, vertices=mm_to_points(mesh.vertices_mm if vertices_mm is None else vertices_mm)
    )


def meshes_to_markers(meshes: Iterable[Mesh], stamp: Time, lesions: Sequence[PartMeasurement] = ()) -> MarkerArray:
    """One translucent or opaque triangle list per structure, in a namespace of the structure's name.

    `lesions` are those of the tumor's mesh: where the confidence in any is known, each is the paler, the less sure.

    The first marker removes those of an earlier volume. Opaque structures come first: RViz draws in this order, and
    what lies inside the translucent organ stays visible.
    """
    array = MarkerArray(markers=[Marker(header=header(stamp), action=Marker.DELETEALL)])
    for mesh in sorted(meshes, key=lambda mesh: -mesh.structure.opacity):
        marker = Marker(header=header(stamp), ns=mesh.structure.name, id=mesh.structure.value)
        marker.type = Marker.TRIANGLE_LIST
        marker.action = Marker.ADD
        marker.pose.orientation.w = 1.0
        marker.scale.x = marker.scale.y = marker.scale.z = 1.0
        marker.color = color_of(mesh.structure)
        marker.frame_locked = True  # follows ct_lps when a registration moves it
        points = mm_to_points(mesh.vertices_mm)
        corners = mesh.triangles.reshape(-1).tolist()
        marker.points = [points[vertex] for vertex in corners]
        if mesh.structure == TUMOR:
            colors = _lesion_colors(mesh, lesions)
            marker.colors = [colors[vertex] for vertex in corners] if colors else []
        array.markers.append(marker)
    return array


def _lesion_colors(mesh: Mesh, lesions: Sequence[PartMeasurement]) -> list[ColorRGBA]:
    """One per vertex; none where nobody knows how sure the network is."""
    colors = vertex_colors(mesh.vertices_mm, lesions, mesh.structure.color_rgb)
    if colors is None:
        return []
    return [ColorRGBA(r=r, g=g, b=b, a=mesh.structure.opacity) for r, g, b in (colors / 255).tolist()]
