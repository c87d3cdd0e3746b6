# SPDX-License-Identifier: Apache-2.0
"""The one report of a volume: whoever waits for it gets an end, whatever became of the work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from liver_seg_interfaces.msg import Progress, SegmentationReport
from liver_seg_ros.errors import CancelledError, InputError, memory_message
from liver_seg_ros.nodes.diagnostics import in_one_line
from liver_seg_ros.nodes.messages.text import shown
from liver_seg_ros.nodes.volume_progress import VolumeProgress

FOUND, NOTHING_FOUND = SegmentationReport.STATUS_FOUND, SegmentationReport.STATUS_NOTHING_FOUND
FAILED, CANCELLED = SegmentationReport.STATUS_FAILED, SegmentationReport.STATUS_CANCELLED

#: How the work on a volume ended, as the value `outcome` of the diagnostics says it.
OUTCOMES = {FOUND: "found", NOTHING_FOUND: "nothing_found", FAILED: "failed", CANCELLED: "cancelled"}

#: What the message of a report begins with where the work was cancelled.
CANCELLED_PREFIX = "cancelled: "


def _nobody(progress: Progress) -> None:
    """The default of who is told."""


class VolumeReport:
    """Publishes the report of one volume, once: the first end counts. Safe from any thread.

    Attributes:
        volume_uid: of the CT; empty while that is not known.
        progress: what the work tells how far it is; None where it tells nothing.

    Args:
        volume_uid: as above.
        publish: is given the report.
        told: is given what `progress` tells, besides those who listen to the topic.
    """

    def __init__(
        self,
        volume_uid: str,
        publish: Callable[[SegmentationReport], None],
        told: Callable[[Progress], None] = _nobody,
    ) -> None:
        self.volume_uid = volume_uid
        self.progress: VolumeProgress | None = None
        self.told = told
        self._publish = publish
        self._lock = threading.Lock()
        self._ended = False

    def end(self, report: SegmentationReport) -> bool:
        """Publish `report`, whose status is set; False where another end came before."""
        with self._lock:
            if self._ended:
                return False
            self._ended = True
        report.volume_uid = self.volume_uid
        report.message = shown(report.message)
        self._publish(report)
        return True

    def fail(self, message: str) -> None:
        """The work could not be done."""
        self.end(SegmentationReport(status=FAILED, message=message))

    def cancel(self, why: str) -> None:
        """The work was given up, or never begun."""
        of = f"volume {self.volume_uid}: " if self.volume_uid else ""
        message = f"{CANCELLED_PREFIX}{of}{why}"
        self.end(SegmentationReport(status=CANCELLED, message=message))

    @contextmanager
    def of_work(self) -> Iterator[None]:
        """Whatever the body raises ends the report too; too little memory becomes an `InputError`."""
        try:
            yield
        except CancelledError as error:
            self.cancel(str(error))
            raise
        except MemoryError as error:
            of = f"volume {self.volume_uid}: " if self.volume_uid else ""
            refusal = InputError(f"{of}{memory_message(error)}")
            self.fail(str(refusal))
            raise refusal from error
        except Exception as error:
            self.fail(in_one_line(error))
            raise
