# SPDX-License-Identifier: Apache-2.0
"""`RigidTransform`, in millimetres, to and from what ROS says of poses, in metres and quaternions x, y, z, w."""

from __future__ import annotations

from collections.abc import Sequence

from geometry_msgs.msg import Transform
from scipy.spatial.transform import Rotation

from liver_seg_ros.geometry import MM_PER_M
from liver_seg_ros.planning.transform import RigidTransform


def transform_to_parameters(transform: RigidTransform) -> tuple[list[float], list[float]]:
    """Translation in metres and quaternion, as the nodes' parameters take them."""
    matrix = transform.matrix
    quaternion = Rotation.from_matrix(matrix[:3, :3]).as_quat()
    return (matrix[:3, 3] / MM_PER_M).tolist(), quaternion.tolist()


def parameters_to_transform(translation_m: Sequence[float], rotation_xyzw: Sequence[float]) -> RigidTransform:
    """The reverse of `transform_to_parameters`."""
    turn = Rotation.from_quat(list(rotation_xyzw)).as_matrix()
    return RigidTransform.of(turn, [MM_PER_M * length for length in translation_m])


def fill_transform(message: Transform, transform: RigidTransform) -> None:
    """In metres."""
    shift, turn = message.translation, message.rotation
    (shift.x, shift.y, shift.z), (turn.x, turn.y, turn.z, turn.w) = transform_to_parameters(transform)
