"""Where the frame `ct_lps` is: a static transform below a frame of the robot."""

from __future__ import annotations

import math

from geometry_msgs.msg import TransformStamped
from rclpy.publisher import Publisher
from tf2_msgs.msg import TFMessage

from liver_seg_ros.errors import InputError
from liver_seg_ros.nodes.messages.volumes import FRAME_ID
from liver_seg_ros.nodes.parameters import text
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.stage_node import StageNode


class StaticFrame:
    """Publishes `ct_lps` below the parameter `parent_frame` on `/tf_static`; with an empty parameter, nothing.

    tf2_ros's broadcaster needs its C++ part, which a pip installation has not; the message is all that TF is.
    """

    def __init__(self, node: StageNode) -> None:
        self._node = node
        self._publisher: Publisher | None = None
        node.declare_parameter(
            "parent_frame", "map", text(f"Frame that {FRAME_ID} hangs below; empty where something else publishes it.")
        )
        node.declare_parameter("translation_m", [0.0, 0.0, 0.0], text(f"Origin of {FRAME_ID} in the parent frame, m."))
        node.declare_parameter(
            "rotation_xyzw", [0.0, 0.0, 0.0, 1.0], text(f"Orientation of {FRAME_ID} in the parent frame, quaternion.")
        )

    def open(self) -> None:
        """Publish. Raises `InputError` for parameters that are no transform."""
        parent = self._node.get_parameter("parent_frame").value
        if not parent:
            return
        translation = list(self._node.get_parameter("translation_m").value)
        rotation = list(self._node.get_parameter("rotation_xyzw").value)
        if len(translation) != 3 or not all(map(math.isfinite, translation)):
            raise InputError(f"parameter translation_m is {translation}; give three finite lengths in metres")
        if len(rotation) != 4 or not abs(math.hypot(*rotation) - 1.0) < 1e-3:
            raise InputError(f"parameter rotation_xyzw is {rotation}; give a unit quaternion x, y, z, w")
        transform = TransformStamped(child_frame_id=FRAME_ID)
        transform.header.frame_id = parent
        transform.header.stamp = self._node.get_clock().now().to_msg()
        target = transform.transform
        target.translation.x, target.translation.y, target.translation.z = translation
        target.rotation.x, target.rotation.y, target.rotation.z, target.rotation.w = rotation
        publisher = self._node.create_publisher(TFMessage, "/tf_static", latched(1))
        publisher.publish(TFMessage(transforms=[transform]))
        self._publisher = publisher

    def close(self) -> None:
        """Withdraw the transform."""
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None
