# SPDX-License-Identifier: Apache-2.0
"""Where frames are now, as TF tells it: by tf2_ros where ROS 2 is installed, else by a buffer of our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from liver_seg_ros.geometry import MM_PER_M
from liver_seg_ros.nodes.qos import latched, live
from liver_seg_ros.nodes.transform_buffer import Found, TransformBuffer, TransformError
from liver_seg_ros.planning.transform import RigidTransform

_DEPTH = 100


class Transforms(Protocol):
    """What nodes ask of TF."""

    def lookup(self, target: str, source: str) -> Found:
        """The latest transform from the frame `source` to `target`. Raises `TransformError` where there is none."""

    def close(self) -> None:
        """Listen no longer."""


def open_transforms(node: Node, moved: Callable[[TFMessage], None]) -> Transforms:
    """Listen to `/tf` and `/tf_static` from now on; `moved` is called after each message of the first was taken in."""
    try:
        import tf2_ros
    except ImportError:
        return OwnTransforms(node, moved)
    return Tf2Transforms(node, moved, tf2_ros)


class OwnTransforms:
    """By `TransformBuffer`. Transforms that cannot be are passed over, each kind said once in the node's log."""

    def __init__(self, node: Node, moved: Callable[[TFMessage], None]) -> None:
        self._node = node
        self._moved = moved
        self._buffer = TransformBuffer()
        self._said: set[str] = set()
        self._subscriptions = [
            node.create_subscription(TFMessage, "/tf", lambda message: self._take(message, False), live(_DEPTH)),
            node.create_subscription(
                TFMessage, "/tf_static", lambda message: self._take(message, True), latched(_DEPTH)
            ),
        ]
        backwards = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jumps = node.get_clock().create_jump_callback(backwards, post_callback=lambda _: self._buffer.clear())

    def lookup(self, target: str, source: str) -> Found:
        return self._buffer.lookup(target, source)

    def close(self) -> None:
        self._jumps.unregister()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _take(self, message: TFMessage, static: bool) -> None:
        for stamped in message.transforms:
            shift, turn = stamped.transform.translation, stamped.transform.rotation
            stamp = stamped.header.stamp
            try:
                self._buffer.add(
                    stamped.header.frame_id,
                    stamped.child_frame_id,
                    [MM_PER_M * length for length in (shift.x, shift.y, shift.z)],
                    [turn.x, turn.y, turn.z, turn.w],
                    stamp.sec * 1_000_000_000 + stamp.nanosec,
                    static,
                )
            except TransformError as error:
                self._say_once(str(error))
        if not static:
            self._moved(message)

    def _say_once(self, text: str) -> None:
        if text not in self._said and len(self._said) < _DEPTH:
            self._said.add(text)
            self._node.get_logger().warning(f"TF: {text}")


class Tf2Transforms:
    """By tf2_ros."""

    def __init__(self, node: Node, moved: Callable[[TFMessage], None], tf2_ros: Any) -> None:
        self._node = node
        self._refused = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer(node=node)
        self._listener = tf2_ros.TransformListener(self._buffer, node)
        # After the listener's own: an executor takes subscriptions in the order in which they were made.
        self._subscription = node.create_subscription(TFMessage, "/tf", moved, live(_DEPTH))

    def lookup(self, target: str, source: str) -> Found:
        from scipy.spatial.transform import Rotation

        try:
            stamped = self._buffer.lookup_transform(target, source, Time())
        except self._refused as error:
            raise TransformError(" ".join(str(error).split())) from error
        shift, turn = stamped.transform.translation, stamped.transform.rotation
        rotation = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
        transform = RigidTransform.of(rotation, [MM_PER_M * length for length in (shift.x, shift.y, shift.z)])
        stamp_ns = Time.from_msg(stamped.header.stamp).nanoseconds
        return Found(transform, stamp_ns or None)  # tf2 stamps what is static with 0

    def close(self) -> None:
        self._node.destroy_subscription(self._subscription)
        self._listener.unregister()
