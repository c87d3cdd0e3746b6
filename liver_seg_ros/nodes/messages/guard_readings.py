# SPDX-License-Identifier: Apache-2.0
"""A guard's readings and trajectories as messages, and meshes from messages for the guard to watch."""

from __future__ import annotations

import math

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from liver_seg_interfaces.msg import GuardReading as ReadingMessage
from liver_seg_interfaces.msg import StructureClearance, StructureMesh
from liver_seg_interfaces.msg import Trajectory as TrajectoryMessage
from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import MM_PER_M
from liver_seg_ros.labels import structure_by_value
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.nodes.messages.points import mm_to_point, point_to_mm, points_to_mm
from liver_seg_ros.nodes.messages.text import shown
from liver_seg_ros.planning.guard import GuardReading, Level
from liver_seg_ros.planning.trajectory_values import Trajectory

#: A mesh with more triangles is refused: its distances would take minutes to prepare.
MOST_TRIANGLES = 2_000_000


def reading_to_message(reading: GuardReading, frame_id: str, volume_uid: str, stamp: Time) -> ReadingMessage:
    """In metres and radians."""
    message = ReadingMessage(
        header=Header(stamp=stamp, frame_id=frame_id),
        volume_uid=volume_uid,
        level=int(reading.level),
        reason=int(reading.reason),
        text=shown(reading.text),
        tip_known=reading.tip_mm is not None,
        clearances=[
            StructureClearance(
                structure=clearance.structure.name,
                label=clearance.structure.value,
                clearance_m=clearance.clearance_mm / MM_PER_M,
                at=mm_to_point(clearance.at_mm),
            )
            for clearance in reading.clearances
        ],
    )
    if reading.tip_mm is not None:
        message.tip = mm_to_point(reading.tip_mm)
    if reading.deviation is not None:
        message.has_plan = True
        message.to_target_m = reading.deviation.to_target_mm / MM_PER_M
        message.remaining_m = reading.deviation.remaining_mm / MM_PER_M
        message.off_line_m = reading.deviation.off_line_mm / MM_PER_M
        message.angle_rad = math.radians(reading.deviation.angle_deg)
    return message


def reading_in_words(message: ReadingMessage) -> str:
    """One line for people, such as "OK, 12.4 mm to vessel"."""
    level = Level(message.level).name
    if message.text:
        return f"{level}: {message.text}"
    if not message.clearances:
        return level
    nearest = min(message.clearances, key=lambda clearance: clearance.clearance_m)
    return f"{level}, {MM_PER_M * nearest.clearance_m:.1f} mm to {nearest.structure}"


def message_to_trajectory(message: TrajectoryMessage) -> Trajectory:
    """In mm, in the message's own frame. Raises `InputError` for what is no trajectory."""
    try:
        return Trajectory(point_to_mm(message.entry), point_to_mm(message.target), MM_PER_M * message.radius_m)
    except InputError as error:
        raise InputError(f"the trajectory that came: {error}") from error


def message_to_mesh(message: StructureMesh) -> Mesh:
    """In mm. Raises `InputError` for what is no closed surface of a known structure."""
    name = message.measurement.structure
    try:
        structure = structure_by_value(message.measurement.label)
    except InputError as error:
        raise InputError(f"the mesh of '{name}': {error}") from error
    vertices = points_to_mm(message.mesh.vertices)
    if len(message.mesh.triangles) > MOST_TRIANGLES:
        raise InputError(f"the mesh of '{name}' has {len(message.mesh.triangles)} triangles, over {MOST_TRIANGLES}")
    indices = [triangle.vertex_indices for triangle in message.mesh.triangles]
    triangles = np.array(indices, np.int64).reshape(-1, 3)
    if not len(triangles) or triangles.max() >= len(vertices) or not np.isfinite(vertices).all():
        raise InputError(f"the mesh of '{name}' is damaged: no triangles, or of vertices that it does not have")
    if not message.watertight:
        raise InputError(f"the mesh of '{name}' is not closed, so that inside and outside are not defined")
    normals = np.zeros(vertices.shape, np.float32)  # nobody asks a guard's mesh for them
    return Mesh(structure, vertices.astype(np.float32), triangles.astype(np.int32), normals)
