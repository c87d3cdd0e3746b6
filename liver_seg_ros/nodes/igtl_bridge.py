# SPDX-License-Identifier: Apache-2.0
"""The node `igtl_bridge`: CT, labels, surfaces, needle and guard to 3D Slicer over OpenIGTLink, and poses to TF."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from builtin_interfaces.msg import Time as Stamp
from geometry_msgs.msg import TransformStamped
from pyigtl.messages import TransformMessage
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from rclpy.time import Time
from rclpy.timer import Timer
from tf2_msgs.msg import TFMessage

from liver_seg_interfaces.msg import GuardReading, StructureMesh, StructureMeshArray
from liver_seg_ros.errors import InputError
from liver_seg_ros.igtl.conversion import (
    image_message,
    mesh_message,
    packed,
    pose_of,
    text_message,
    transform_message,
)
from liver_seg_ros.igtl.devices import CT, GUARD, LABELS, TIP, Taken, taken_of
from liver_seg_ros.igtl.server import Packer, Server
from liver_seg_ros.igtl.wire import Header
from liver_seg_ros.nodes.messages.assembler import Assembled
from liver_seg_ros.nodes.messages.guard_readings import message_to_mesh, reading_in_words
from liver_seg_ros.nodes.messages.poses import fill_transform
from liver_seg_ros.nodes.parameter_tables import IGTL_BRIDGE
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.qos import latched, live
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.tip_watch import TipWatch
from liver_seg_ros.nodes.transform_buffer import TransformError
from liver_seg_ros.nodes.transforms import Transforms, open_transforms
from liver_seg_ros.nodes.volume_input import VolumeInput
from liver_seg_ros.planning.guard import Reason
from liver_seg_ros.volume import LabelVolume, Volume


class IgtlBridge(StageNode):
    """Serves what comes on `ct`, `labels`, `meshes` and `needle_guard/reading`, and the tip of the needle.

    Of the poses that peers send, those named in the parameter `take` go to `/tf`, below the CT's frame; by default
    none, so that nobody moves a frame who was not asked to.

    Args:
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__("igtl_bridge", IGTL_BRIDGE, **kwargs)
        self._ct_input = VolumeInput(self, "ct", np.int16, self._on_ct)
        self._labels_input = VolumeInput(self, "labels", np.uint8, self._on_labels)
        self._uids: dict[str, str] = {}  # by device: of the volume that it was made of
        self._taken: Taken = {}
        self._refused: set[str] = set()  # what was said of poses, each once
        self._server: Server | None = None
        self._transforms: Transforms | None = None
        self._subscriptions_: list[Subscription] = []
        self._timer: Timer | None = None
        self._tf: Publisher | None = None

    def configure(self) -> None:
        self._taken = taken_of(self.get_parameter("take").value)
        self._tf = self.create_lifecycle_publisher(TFMessage, "/tf", live())

    def activate(self) -> None:
        self._refused.clear()
        address, port = self.get_parameter("address").value, self.get_parameter("port").value
        self._server = Server(address, port, self._on_pose, self._on_news)
        self._watch = TipWatch(self.get_parameter("tf_timeout_s").value, np.inf)
        self._transforms = open_transforms(self, lambda _: None)
        self._ct_input.open()
        self._labels_input.open()
        self._subscriptions_ = [
            self.create_subscription(StructureMeshArray, "meshes", self._on_meshes, latched(1)),
            self.create_subscription(GuardReading, "needle_guard/reading", self._on_reading, live()),
        ]
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(1 / self.get_parameter("rate_hz").value, self._on_tick, clock=steady)
        self.diagnostics.say(f"serving OpenIGTLink on {address}:{self._server.port}")

    def deactivate(self) -> None:
        self._ct_input.close()
        self._labels_input.close()
        if self._timer is not None:
            self.destroy_timer(self._timer)
        if self._transforms is not None:
            self._transforms.close()
        for subscription in self._subscriptions_:
            self.destroy_subscription(subscription)
        if self._server is not None:
            self._server.close()
        self._timer, self._transforms, self._subscriptions_, self._server = None, None, [], None
        self._uids = {}

    def cleanup(self) -> None:
        if self._tf is not None:
            self.destroy_lifecycle_publisher(self._tf)
        self._tf = None

    def _on_ct(self, assembled: Assembled) -> None:
        ct = Volume(assembled.array, assembled.geometry, assembled.uid)
        self._forget_others(ct.uid)
        self._serve_volume(CT, ct, assembled.stamp_ns)

    def _on_labels(self, assembled: Assembled) -> None:
        labels = LabelVolume(assembled.array, assembled.geometry, assembled.uid)
        self._forget_others(labels.uid)
        self._serve_volume(LABELS, labels, assembled.stamp_ns)

    def _serve_volume(self, device: str, volume: Volume | LabelVolume, stamp_ns: int) -> None:
        try:
            image_message(volume, device, 0.0)  # cheap: only what is sent is packed, on the peer's thread
        except InputError as error:
            self.diagnostics.fail(error)
            return
        self._keep(device, volume.uid, lambda: packed(image_message(volume, device, stamp_ns / 1e9)))
        self.diagnostics.say(f"serving {device} of volume {volume.uid}", last_volume=volume.uid)

    def _on_meshes(self, message: StructureMeshArray) -> None:
        if message.header.frame_id not in (self.ct_frame, ""):
            self.diagnostics.warn(f"meshes in the frame '{message.header.frame_id}' are not served: {self.ct_frame} is")
            return
        self._forget_others(message.volume_uid)
        time_s = _seconds(message.header.stamp)
        for one in message.meshes:
            if one.mesh.triangles:
                self._keep(one.measurement.structure, message.volume_uid, partial(_packed_mesh, one, time_s))

    def _on_reading(self, message: GuardReading) -> None:
        if self._server is not None:
            text = text_message(reading_in_words(message), GUARD, _seconds(message.header.stamp))
            self._server.send(GUARD, lambda: packed(text))

    def _on_tick(self) -> None:
        """The needle's tip, where it is known."""
        if self._server is None or self._transforms is None or not self._server.peer_count:
            return
        try:
            found = self._transforms.lookup(self.ct_frame, self.get_parameter("tip_frame").value)
        except TransformError:
            return
        now_ns = self.get_clock().now().nanoseconds
        tip_mm = found.transform.matrix[:3, 3]
        reason, _ = self._watch.judge(found.stamp_ns, tip_mm, now_ns, time.monotonic())
        if reason == Reason.NONE:
            message = transform_message(found.transform, TIP, (found.stamp_ns or now_ns) / 1e9)
            self._server.send(TIP, lambda: packed(message))

    def _on_pose(self, header: Header, message: TransformMessage) -> None:
        """On the peer's thread."""
        frame, publisher = self._taken.get(header.device), self._tf
        if frame is None or publisher is None or not self.active:
            self._say_once(
                f"the pose '{header.device}' is not taken: the parameter take does not name it", frame is None
            )
            return
        try:
            pose = pose_of(message)
        except InputError as error:
            self._say_once(str(error), True)
            return
        # The sender's own time, so that what comes late is seen to be old; most trackers without a clock send 0.
        stamp = Time(nanoseconds=round(header.time_s * 1e9)) if header.time_s else self.get_clock().now()
        told = TransformStamped(child_frame_id=frame)
        told.header.frame_id, told.header.stamp = self.ct_frame, stamp.to_msg()
        fill_transform(told.transform, pose)
        publisher.publish(TFMessage(transforms=[told]))

    def _on_news(self, text: str) -> None:
        """Of peers, on whatever thread."""
        self.get_logger().info(text)

    def _say_once(self, text: str, worth_it: bool) -> None:
        if worth_it and text not in self._refused and len(self._refused) < 100:
            self._refused.add(text)
            self.diagnostics.warn(text)

    def _keep(self, device: str, uid: str, pack: Packer) -> None:
        if self._server is not None:
            self._uids[device] = uid
            self._server.send(device, pack, keep=True)

    def _forget_others(self, uid: str) -> None:
        """What was made of another volume is not shown to whoever comes now."""
        gone = [device for device, made_of in self._uids.items() if made_of != uid]
        for device in gone:
            del self._uids[device]
        if self._server is not None:
            self._server.forget(gone)


def _packed_mesh(message: StructureMesh, time_s: float) -> bytes:
    return packed(mesh_message(message_to_mesh(message), message.measurement.structure, time_s))


def _seconds(stamp: Stamp) -> float:
    return float(stamp.sec + stamp.nanosec / 1e9)


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [IgtlBridge()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
