# SPDX-License-Identifier: Apache-2.0
"""The topic `~/preview`: the liver as it is found first, until the labels are there or it is known that none come."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
from rclpy.publisher import Publisher

from liver_seg_interfaces.msg import Volume as VolumeMessage
from liver_seg_ros.nodes.messages.placing import placed
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.volume_output import compression_of
from liver_seg_ros.volume import LabelVolume

TOPIC = "~/preview"


class Preview:
    """Shows one coarse liver at a time, whole in one message, while the work on its volume goes on.

    A latched topic keeps its last message for ever, so one that is over is replaced by background on the same grid.
    """

    def __init__(self, node: StageNode) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._publisher: Publisher | None = None
        self._shown: LabelVolume | None = None

    @property
    def is_open(self) -> bool:
        """Whether the topic is advertised."""
        return self._publisher is not None

    def open(self) -> None:
        """Advertise the topic."""
        # Not of the lifecycle: what is shown when the node is deactivated has to be taken back after that.
        self._publisher = self._node.create_publisher(VolumeMessage, TOPIC, latched(1))

    def close(self) -> None:
        """Take back what is shown and withdraw the topic."""
        with self._lock:
            self._take_back()
            if self._publisher is not None:
                self._node.destroy_publisher(self._publisher)
            self._publisher = None

    def show(self, labels: LabelVolume) -> None:
        """Publish a coarse liver in the place of what was shown."""
        with self._lock:
            self._shown = labels
            self._publish(labels)

    def take_back(self, labels: LabelVolume) -> None:
        """Publish that these are over; nothing where others are shown: work that was cancelled may end late."""
        with self._lock:
            if self._shown is labels:
                self._take_back()

    def _take_back(self) -> None:
        """Under the lock, as all that publishes."""
        if self._shown is not None:
            self._publish(replace(self._shown, array=np.zeros_like(self._shown.array)))
        self._shown = None

    def _publish(self, labels: LabelVolume) -> None:
        if self._publisher is None:  # withdrawn meanwhile
            return
        stamp = self._node.get_clock().now().to_msg()
        for message in volume_to_slabs(labels, 1, stamp, compression_of(self._node, labels)):
            self._publisher.publish(placed(message, self._node.ct_frame))
