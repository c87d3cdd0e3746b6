"""The topics `~/progress` and `~/report` of a node that works on volumes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from rclpy.publisher import Publisher

from liver_seg_interfaces.msg import ModelInfo, SegmentationReport
from liver_seg_interfaces.msg import Progress as ProgressMessage
from liver_seg_ros.inference.bundle import ModelBundle
from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.nodes.messages.measurements import measurement_to_message
from liver_seg_ros.nodes.messages.meshes import header
from liver_seg_ros.nodes.messages.warnings import warning_to_message
from liver_seg_ros.nodes.qos import latched, live
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.plausibility.judgment import PlausibilityWarning
from liver_seg_ros.progress import Progress

_SHORTEST_INTERVAL_S = 0.05


class Reporting:
    """Says how far the work on a volume is, and how it ended."""

    def __init__(self, node: StageNode) -> None:
        self._node = node
        self._publishers: dict[type, Publisher] = {}  # by message type; empty while closed

    def open(self) -> None:
        """Advertise both topics."""
        create = self._node.create_lifecycle_publisher
        self._publishers = {
            ProgressMessage: create(ProgressMessage, "~/progress", live()),
            SegmentationReport: create(SegmentationReport, "~/report", latched(1)),
        }

    def close(self) -> None:
        """Withdraw both topics."""
        publishers, self._publishers = self._publishers, {}
        for publisher in publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)

    def progress(self, volume_uid: str) -> Progress:
        """A `Progress` that publishes for this volume, at most 20 times a second besides each stage's begin and end."""
        said_at = -_SHORTEST_INTERVAL_S

        def publish(stage: str, fraction: float) -> None:
            nonlocal said_at
            now = time.monotonic()
            if 0.0 < fraction < 1.0 and now - said_at < _SHORTEST_INTERVAL_S:
                return
            said_at = now
            self._publish(ProgressMessage(volume_uid=volume_uid, stage=stage, fraction=float(fraction)))

        return publish

    def publish_measured(
        self,
        volume_uid: str,
        liver_found: bool,
        message: str,
        measurements: Iterable[StructureMeasurement],
        seconds: Mapping[str, float],
        runtime: str = "",
        models: Iterable[ModelBundle] = (),
        warnings: Iterable[PlausibilityWarning] = (),
    ) -> None:
        """Publish the report of work that came to its end; `models` are the networks that ran, `runtime` ran them."""
        self.publish(
            SegmentationReport(
                volume_uid=volume_uid,
                liver_found=liver_found,
                message=message,
                structures=[measurement_to_message(m) for m in measurements],
                stages=list(seconds),
                stage_seconds=list(seconds.values()),
                runtime=runtime,
                models=[ModelInfo(name=m.spec.name, version=m.spec.version, sha256=m.sha256) for m in models],
                warnings=[warning_to_message(warning) for warning in warnings],
            )
        )

    def publish(self, report: SegmentationReport) -> None:
        """Publish a report, stamped now."""
        self._publish(report)

    def _publish(self, message: ProgressMessage | SegmentationReport) -> None:
        message.header = header(self._node.get_clock().now().to_msg())
        publisher = self._publishers.get(type(message))
        if publisher is not None:  # None: withdrawn while the work was being cancelled
            publisher.publish(message)
