# SPDX-License-Identifier: Apache-2.0
"""A latched topic that carries whole volumes as slabs, and one that says where they lie in this host's memory."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from rclpy.publisher import Publisher

from liver_seg_interfaces.msg import Volume as VolumeMessage
from liver_seg_interfaces.msg import VolumeHandle
from liver_seg_ros.nodes.messages.handles import volume_to_handle
from liver_seg_ros.nodes.messages.placing import placed
from liver_seg_ros.nodes.messages.slab import COMPRESSION_AUTO, COMPRESSION_NONE, COMPRESSION_ZLIB
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.nodes.overridable_qos import ALL_BUT_DEPTH
from liver_seg_ros.nodes.parameter_tables import SHARED_MEMORY, VOLUME_OUTPUT
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.shared_memory import Place, Segment
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.progress import Cancelled, raise_if_cancelled
from liver_seg_ros.volume import LabelVolume, Volume

#: What a handle names where there was no room: whoever reads it finds nothing there and takes the slabs.
NOWHERE = Place("", 0, 0, 0, "")


def handle_topic(topic: str) -> str:
    """The topic that says where the volumes of `topic` lie in shared memory."""
    return f"{topic}/handle"


class VolumeOutput:
    """Publishes volumes on one topic; the last one is kept for late subscribers.

    The history is exactly as deep as a volume has slabs, so that what is kept is one volume, whatever its size.
    """

    def __init__(self, node: StageNode, topic: str) -> None:
        self._node = node
        self._topic = topic
        self._publisher: Publisher | None = None
        self._handles: Publisher | None = None  # None where the parameter `shared_memory` is false, too
        self._segment: Segment | None = None  # of the last volume
        self._slabs = 1
        node.declare_missing((*VOLUME_OUTPUT, *SHARED_MEMORY))

    def open(self) -> None:
        """Advertise the topic."""
        self._slabs = int(self._node.get_parameter("slabs").value)
        self._publisher = self._node.create_lifecycle_publisher(
            VolumeMessage, self._topic, latched(self._slabs), qos_overriding_options=ALL_BUT_DEPTH
        )
        if self._node.get_parameter("shared_memory").value:
            self._handles = self._node.create_lifecycle_publisher(VolumeHandle, handle_topic(self._topic), latched(1))

    def close(self) -> None:
        """Withdraw the topic and what it kept."""
        if self._publisher is not None:
            self._node.destroy_lifecycle_publisher(self._publisher)
            self._publisher = None
        if self._handles is not None:
            self._node.destroy_lifecycle_publisher(self._handles)
            self._handles = None
        self._release()

    def publish(self, volume: Volume | LabelVolume, stamp: Time, cancelled: Cancelled) -> None:
        """Publish all slabs, stamped so. Raises `CancelledError` between two of them once `cancelled()`."""
        self._publish_handle(volume, stamp)  # first: it is there sooner
        for message in volume_to_slabs(volume, self._slabs, stamp, compression_of(self._node, volume)):
            raise_if_cancelled(cancelled, f"publishing on {self._topic}")
            publisher = self._publisher
            if publisher is None:  # withdrawn meanwhile
                return
            publisher.publish(placed(message, self._node.ct_frame))

    def _publish_handle(self, volume: Volume | LabelVolume, stamp: Time) -> None:
        """Tell where the volume lies, also to those who come later: they look for no slabs while handles come."""
        publisher = self._handles
        if publisher is None:
            return
        segment = self._in_memory(volume)
        self._release()
        self._segment = segment
        place = NOWHERE if segment is None else segment.place
        publisher.publish(placed(volume_to_handle(volume, place, stamp), self._node.ct_frame))

    def _in_memory(self, volume: Volume | LabelVolume) -> Segment | None:
        """The volume in shared memory; None where there is no room."""
        try:
            return Segment(volume.array)
        except OSError as error:
            self._node.get_logger().warning(f"volume {volume.uid} is not in shared memory: {error}")
            return None

    def _release(self) -> None:
        if self._segment is not None:
            self._segment.release()
        self._segment = None


def compression_of(node: StageNode, volume: Volume | LabelVolume) -> str:
    """How the slabs of a volume are compressed, as the node's parameter `compression` says."""
    asked = str(node.get_parameter("compression").value)
    if asked != COMPRESSION_AUTO:
        return asked
    return COMPRESSION_ZLIB if isinstance(volume, LabelVolume) else COMPRESSION_NONE
