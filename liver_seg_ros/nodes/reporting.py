"""The topics `~/progress` and `~/report` of a node that works on volumes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping

from rclpy.publisher import Publisher
from std_msgs.msg import Header

from liver_seg_interfaces.msg import ModelInfo, SegmentationReport
from liver_seg_interfaces.msg import Progress as ProgressMessage
from liver_seg_ros.errors import CancelledError
from liver_seg_ros.inference.bundle import ModelBundle
from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.nodes.messages.measurements import measurement_to_message
from liver_seg_ros.nodes.messages.warnings import warning_to_message
from liver_seg_ros.nodes.qos import latched, live
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.volume_report import FOUND, NOTHING_FOUND, OUTCOMES, VolumeReport
from liver_seg_ros.plausibility.judgment import PlausibilityWarning
from liver_seg_ros.progress import Cancelled, Progress, raise_if_cancelled

_SHORTEST_INTERVAL_S = 0.05


class Reporting:
    """Says how far the work on a volume is, and how it ended."""

    def __init__(self, node: StageNode) -> None:
        self._node = node
        self._progress: Publisher | None = None  # both are None while closed
        self._reports: Publisher | None = None

    def open(self) -> None:
        """Advertise both topics."""
        self._progress = self._node.create_lifecycle_publisher(ProgressMessage, "~/progress", live())
        # Not of the lifecycle: a volume whose work ends because the node is deactivated gets its report too.
        self._reports = self._node.create_publisher(SegmentationReport, "~/report", latched(1))

    def close(self) -> None:
        """Withdraw both topics."""
        if self._progress is not None:
            self._node.destroy_lifecycle_publisher(self._progress)
        if self._reports is not None:
            self._node.destroy_publisher(self._reports)
        self._progress, self._reports = None, None

    def take_up(self, volume_uid: str, doing: str, work: Callable[[VolumeReport, Cancelled], None]) -> None:
        """Have the node's worker do `work` on this volume next, and report how that ends. Safe from any thread.

        Args:
            volume_uid: of the CT.
            doing: what is said on the diagnostics, for example "segmenting".
            work: is given the report, to end it; where it raises, that is reported.
        """
        report = VolumeReport(volume_uid, self._publish_report)
        if not self._node.active:
            report.cancel("the node is not active")
            return

        def job(cancelled: Cancelled) -> None:
            with report.of_work():
                raise_if_cancelled(cancelled, "waiting")
                self._node.diagnostics.begin(f"{doing} volume {volume_uid}", last_volume=volume_uid)
                work(report, cancelled)

        self._node.worker.submit(job, report.cancel, f"replaced by volume {volume_uid}")

    def refuse(self, volume_uid: str, why: str) -> None:
        """Report that there will be no work on this volume."""
        VolumeReport(volume_uid, self._publish_report).fail(why)

    def progress(self, volume_uid: str) -> Progress:
        """A `Progress` that publishes for this volume, at most 20 times a second besides each stage's begin and end."""
        said_at = -_SHORTEST_INTERVAL_S

        def publish(stage: str, fraction: float) -> None:
            nonlocal said_at
            now = time.monotonic()
            if 0.0 < fraction < 1.0 and now - said_at < _SHORTEST_INTERVAL_S:
                return
            said_at = now
            message = ProgressMessage(volume_uid=volume_uid, stage=stage, stage_fraction=float(fraction))
            message.overall_fraction = message.seconds_left = math.nan
            message.header = self._header()
            publisher = self._progress
            if publisher is not None:  # None: withdrawn while the work was being cancelled
                publisher.publish(message)

        return publish

    def end_measured(
        self,
        report: VolumeReport,
        found: bool,
        message: str,
        measurements: Iterable[StructureMeasurement],
        seconds: Mapping[str, float],
        runtime: str = "",
        models: Iterable[ModelBundle] = (),
        warnings: Iterable[PlausibilityWarning] = (),
    ) -> None:
        """End the report of work that was done; `models` are the networks that ran, `runtime` ran them.

        Raises `CancelledError` where the work was cancelled meanwhile.
        """
        content = SegmentationReport(
            status=FOUND if found else NOTHING_FOUND,
            message=message,
            structures=[measurement_to_message(m) for m in measurements],
            stages=list(seconds),
            stage_seconds=list(seconds.values()),
            runtime=runtime,
            models=[ModelInfo(name=m.spec.name, version=m.spec.version, sha256=m.sha256) for m in models],
            warnings=[warning_to_message(warning) for warning in warnings],
        )
        if not report.end(content):
            raise CancelledError(f"volume {report.volume_uid}: cancelled at its end")

    def _publish_report(self, report: SegmentationReport) -> None:
        report.header = self._header()
        self._node.diagnostics.set_outcome(OUTCOMES[report.status], report.volume_uid)
        if report.stages:
            self._node.diagnostics.set_done(dict(zip(report.stages, report.stage_seconds, strict=True)))
        publisher = self._reports
        if publisher is not None:
            publisher.publish(report)

    def _header(self) -> Header:
        return Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._node.ct_frame)
