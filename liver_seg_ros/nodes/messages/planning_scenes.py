# SPDX-License-Identifier: Apache-2.0
"""Collision meshes to `moveit_msgs/PlanningScene`: what MoveIt keeps clear of. Needs moveit_msgs."""

from __future__ import annotations

import json
from collections.abc import Iterable

from geometry_msgs.msg import Pose
from moveit_msgs.msg import CollisionObject, ObjectColor, PlanningScene
from std_msgs.msg import Header

from liver_seg_interfaces.msg import StructureMesh


def object_id(mesh: StructureMesh) -> str:
    """What MoveIt calls the structure: of its own in each frame, and so in each namespace."""
    return f"{mesh.header.frame_id}/{mesh.measurement.structure}"


def scene_diff(meshes: Iterable[StructureMesh], gone: Iterable[str], header: Header) -> PlanningScene:
    """The whole of what is to be kept clear of: these meshes, and none of the objects that are gone.

    Args:
        meshes: collision meshes, in the frame of their own headers.
        gone: ids of objects that were there before.
        header: frame and time of what is gone.
    """
    scene = PlanningScene(is_diff=True)
    scene.robot_state.is_diff = True  # otherwise MoveIt would take the robot's joints from here
    for mesh in meshes:
        scene.world.collision_objects.append(_added(mesh))
        scene.object_colors.append(ObjectColor(id=object_id(mesh), color=mesh.color))
    for name in gone:
        scene.world.collision_objects.append(CollisionObject(header=header, id=name, operation=CollisionObject.REMOVE))
    return scene


def _added(mesh: StructureMesh) -> CollisionObject:
    added = CollisionObject(header=mesh.header, id=object_id(mesh), operation=CollisionObject.ADD, pose=_here())
    added.meshes, added.mesh_poses = [mesh.mesh], [_here()]
    # MoveIt has no field for it; this one is free text about the object.
    added.type.key = mesh.measurement.structure
    added.type.db = json.dumps({"volume_uid": mesh.volume_uid, "margin_m": _margin_m(mesh)})
    return added


def _margin_m(mesh: StructureMesh) -> float | None:
    """How far the mesh is outside of its structure at most; None where nobody measured."""
    return next((quality.largest_distance_m for quality in mesh.measurement.collision_mesh), None)


def _here() -> Pose:
    pose = Pose()
    pose.orientation.w = 1.0
    return pose
