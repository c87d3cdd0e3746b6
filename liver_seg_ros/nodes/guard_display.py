# SPDX-License-Identifier: Apache-2.0
"""What RViz shows of the guard: a few times a second, beside the readings and not with each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from rclpy.timer import Timer
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from liver_seg_ros.nodes.messages.guard_markers import guard_markers
from liver_seg_ros.nodes.qos import live
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.planning.guard import GuardReading
from liver_seg_ros.planning.trajectory_values import Trajectory


@dataclass(frozen=True, eq=False)
class Shown:
    """What the guard knows now, in the frame `frame_id`, LPS mm.

    Attributes:
        reading: the latest.
        frame_id: of all points.
        needle_mm: `(2, 3)` tip and end of the shaft, where they were known last; None where they never were.
        radius_mm: of the shaft.
        surface_mm: `(3,)` the nearest point of the nearest structure; None where there is none.
        plan: the trajectory that is followed.
    """

    reading: GuardReading
    frame_id: str
    needle_mm: NDArray[np.float64] | None
    radius_mm: float
    surface_mm: NDArray[np.float64] | None
    plan: Trajectory | None


class GuardDisplay:
    """Publishes `needle_guard/markers` at the parameter `markers_hz` while somebody listens.

    Args:
        node: whose.
        shown: tells what to show; None where there is nothing.
    """

    def __init__(self, node: StageNode, shown: Callable[[], Shown | None]) -> None:
        self._node = node
        self._shown = shown
        self._publisher: Publisher | None = None
        self._timer: Timer | None = None

    def configure(self) -> None:
        """Advertise the topic."""
        self._publisher = self._node.create_lifecycle_publisher(MarkerArray, "needle_guard/markers", live())

    def activate(self) -> None:
        """Begin to publish."""
        rate_hz = float(self._node.get_parameter("markers_hz").value)
        self._timer = self._node.create_timer(1 / rate_hz, self._on_tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def deactivate(self) -> None:
        """Publish no more."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._timer = None

    def cleanup(self) -> None:
        """Withdraw the topic."""
        if self._publisher is not None:
            self._node.destroy_lifecycle_publisher(self._publisher)
        self._publisher = None

    def _on_tick(self) -> None:
        publisher = self._publisher
        if publisher is None or not publisher.get_subscription_count():
            return  # a marker that nobody sees would only make a reading late
        shown = self._shown()
        if shown is not None:
            header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=shown.frame_id)
            publisher.publish(
                guard_markers(shown.reading, shown.needle_mm, shown.radius_mm, shown.surface_mm, shown.plan, header)
            )
