# SPDX-License-Identifier: Apache-2.0
"""Where the frame `ct_lps` is: a static transform below a frame of the robot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.publisher import Publisher
from tf2_msgs.msg import TFMessage

from liver_seg_ros.nodes.parameter_tables import STATIC_FRAME
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.stage_node import StageNode

PARAMETERS = {row.name for row in STATIC_FRAME}


class StaticFrame:
    """Publishes the CT's frame below the parameter `parent_frame` on `/tf_static`; with an empty parameter, nothing.

    tf2_ros's broadcaster needs its C++ part, which a pip installation has not; the message is all that TF is.
    """

    def __init__(self, node: StageNode) -> None:
        self._node = node
        self._publisher: Publisher | None = None
        self._now_open = False
        node.declare_missing(STATIC_FRAME)

    def open(self) -> None:
        """Publish."""
        self._now_open = True
        self._publish({})

    def parameters_changed(self, changed: Mapping[str, Any]) -> None:
        """Publish anew where the frame moves, or hangs below another one."""
        if self._now_open and PARAMETERS & changed.keys():
            self._publish(changed)

    def _publish(self, changed: Mapping[str, Any]) -> None:
        parent, place_m, quaternion = (
            changed.get(name, self._node.get_parameter(name).value)
            for name in ("parent_frame", "translation_m", "rotation_xyzw")
        )
        if not parent:
            self._withdraw()
            return
        transform = TransformStamped(child_frame_id=self._node.ct_frame)
        transform.header.frame_id = parent
        transform.header.stamp = self._node.get_clock().now().to_msg()
        target = transform.transform
        target.translation.x, target.translation.y, target.translation.z = map(float, place_m)
        rotation_to = target.rotation
        rotation_to.x, rotation_to.y, rotation_to.z, rotation_to.w = map(float, quaternion)
        if self._publisher is None:
            self._publisher = self._node.create_publisher(TFMessage, "/tf_static", latched(1))
        self._publisher.publish(TFMessage(transforms=[transform]))

    def close(self) -> None:
        """Withdraw the transform."""
        self._now_open = False
        self._withdraw()

    def _withdraw(self) -> None:
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None
