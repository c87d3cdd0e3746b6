"""A latched topic that carries whole volumes as slabs."""

from __future__ import annotations

from rclpy.publisher import Publisher

from liver_seg_interfaces.msg import Volume as VolumeMessage
from liver_seg_ros.nodes.messages.placing import placed
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.nodes.overridable_qos import ALL_BUT_DEPTH
from liver_seg_ros.nodes.parameter_tables import VOLUME_OUTPUT
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.progress import Cancelled, raise_if_cancelled
from liver_seg_ros.volume import LabelVolume, Volume


class VolumeOutput:
    """Publishes volumes on one topic; the last one is kept for late subscribers.

    The history is exactly as deep as a volume has slabs, so that what is kept is one volume, whatever its size.
    """

    def __init__(self, node: StageNode, topic: str) -> None:
        self._node = node
        self._topic = topic
        self._publisher: Publisher | None = None
        self._slabs = 1
        node.declare_missing(VOLUME_OUTPUT)

    def open(self) -> None:
        """Advertise the topic."""
        self._slabs = int(self._node.get_parameter("slabs").value)
        self._publisher = self._node.create_lifecycle_publisher(
            VolumeMessage, self._topic, latched(self._slabs), qos_overriding_options=ALL_BUT_DEPTH
        )

    def close(self) -> None:
        """Withdraw the topic and what it kept."""
        if self._publisher is not None:
            self._node.destroy_lifecycle_publisher(self._publisher)
            self._publisher = None

    def publish(self, volume: Volume | LabelVolume, cancelled: Cancelled) -> None:
        """Publish all slabs. Raises `CancelledError` between two of them once `cancelled()`."""
        stamp = self._node.get_clock().now().to_msg()
        for message in volume_to_slabs(volume, self._slabs, stamp):
            raise_if_cancelled(cancelled, f"publishing on {self._topic}")
            publisher = self._publisher
            if publisher is None:  # withdrawn meanwhile
                return
            publisher.publish(placed(message, self._node.ct_frame))
