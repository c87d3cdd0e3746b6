# SPDX-License-Identifier: Apache-2.0
"""The topics `~/progress` and `~/report` of a node that works on volumes."""

from __future__ import annotations

import threading
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
from liver_seg_ros.nodes.volume_progress import VolumeProgress
from liver_seg_ros.nodes.volume_report import FOUND, NOTHING_FOUND, OUTCOMES, VolumeReport
from liver_seg_ros.overall_progress import Course
from liver_seg_ros.plausibility.judgment import PlausibilityWarning
from liver_seg_ros.progress import Cancelled, raise_if_cancelled


def _nobody(*told: object) -> None:
    """The default of who is told."""


class Reporting:
    """Says how far the work on a volume is, and how it ended.

    Attributes:
        when_idle: is called, from any thread, each time the last work that ran or waited has ended.

    Args:
        node: whose work.
        course: how the work goes, until a volume has been worked on here.
    """

    def __init__(self, node: StageNode, course: Course) -> None:
        self._node = node
        self._course = course
        self.when_idle: Callable[[], None] = _nobody
        self._lock = threading.Lock()
        self._open: set[VolumeReport] = set()  # of work that has no end yet
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

    @property
    def busy(self) -> bool:
        """True while work on a volume runs or waits."""
        with self._lock:
            return bool(self._open)

    def take_up(
        self,
        volume_uid: str,
        doing: str,
        work: Callable[[VolumeReport, Cancelled], None],
        ended: Callable[[SegmentationReport], None] = _nobody,
        told: Callable[[ProgressMessage], None] = _nobody,
    ) -> None:
        """Have the node's worker do `work` on this volume next, and report how that ends. Safe from any thread.

        Args:
            volume_uid: of the CT; empty where that is not known yet.
            doing: what is said on the diagnostics, for example "segmenting".
            work: is given the report, to end it; where it raises, that is reported.
            ended, told: are given the report, and what is told of the progress, besides those who listen to the topics.
        """

        def publish(message: SegmentationReport) -> None:
            with self._lock:
                self._open.discard(report)  # first: who hears of the end may ask for more
            self._publish_report(message)
            ended(message)
            if not self.busy:
                self.when_idle()

        report = VolumeReport(volume_uid, publish, told)
        with self._lock:
            self._open.add(report)
        if not self._node.active:
            report.cancel("the node is not active")
            return

        def job(cancelled: Cancelled) -> None:
            with report.of_work():
                raise_if_cancelled(cancelled, "waiting")
                uid = {"last_volume": volume_uid} if volume_uid else {}
                self._node.diagnostics.begin(f"{doing} volume {volume_uid}" if volume_uid else doing, **uid)
                work(report, cancelled)

        of = f"volume {volume_uid}" if volume_uid else "one from a file"
        self._node.worker.submit(job, report.cancel, f"replaced by {of}")

    def refuse(self, volume_uid: str, why: str) -> None:
        """Report that there will be no work on this volume."""
        VolumeReport(volume_uid, self._publish_report).fail(why)

    def cancelled(self, volume_uid: str, why: str) -> SegmentationReport:
        """Report that work that was asked for will not be begun; the report."""
        reports: list[SegmentationReport] = []
        report = VolumeReport(volume_uid, reports.append)
        report.cancel(why)
        self._publish_report(reports[0])
        return reports[0]

    def progress(self, report: VolumeReport) -> VolumeProgress:
        """What the work on this report's volume tells how far it is."""

        def tell(message: ProgressMessage) -> None:
            message.header = self._header()
            publisher = self._progress
            if publisher is not None:  # None: withdrawn while the work was being cancelled
                publisher.publish(message)
            report.told(message)

        report.progress = VolumeProgress(report.volume_uid, self._course, tell)
        return report.progress

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
        if report.progress is not None:
            self._course = report.progress.course()

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
