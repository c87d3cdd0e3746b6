# SPDX-License-Identifier: Apache-2.0
"""How sure a segmentation was of the lesions in its labels, as its report says."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.subscription import Subscription

from liver_seg_interfaces.msg import SegmentationReport
from liver_seg_ros.known_lesions import KnownLesion, known_of
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.nodes.messages.measurements import message_to_measurement
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.stage_node import StageNode


class LesionReports:
    """Keeps what the last report on the topic `segmentation/report` says of lesions.

    The report of a volume comes after its labels, which are measured first; so it is asked for at the end of what is
    made of them. Labels that nobody reports on, for example those of a file, are no different for it.
    """

    def __init__(self, node: StageNode) -> None:
        self._node = node
        self._subscription: Subscription | None = None
        self._last: tuple[str, Sequence[KnownLesion]] = "", ()

    def open(self) -> None:
        """Subscribe."""
        self._subscription = self._node.create_subscription(
            SegmentationReport, "segmentation/report", self._take, latched(1)
        )

    def close(self) -> None:
        """Unsubscribe, and forget."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._subscription, self._last = None, ("", ())

    def of(self, volume_uid: str) -> Sequence[KnownLesion]:
        """What is known of lesions in the volume of this uid; nothing where it is not the last that was reported."""
        uid, lesions = self._last
        return lesions if uid == volume_uid else ()

    def _take(self, report: SegmentationReport) -> None:
        # Only tumors are read: what another release says of structures that this one has no row for is left alone.
        tumors = [message_to_measurement(m) for m in report.structures if m.structure == TUMOR.name]
        self._last = report.volume_uid, known_of(tumors)
