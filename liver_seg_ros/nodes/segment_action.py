# SPDX-License-Identifier: Apache-2.0
"""The action `~/segment_volume`: what is done for volumes that come, asked for, followed and cancelled by a client."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from functools import partial

from rclpy.action import CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle

from liver_seg_interfaces.action import SegmentVolume
from liver_seg_interfaces.msg import Progress, SegmentationReport
from liver_seg_ros.nodes.deferred_action import DeferredActionServer
from liver_seg_ros.nodes.reporting import Reporting
from liver_seg_ros.nodes.segment_request import SegmentRequest, request_of
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.volume_report import VolumeReport
from liver_seg_ros.progress import Cancelled

#: What becomes of a goal that comes while the node works: values of the parameter `when_busy`.
QUEUE, REFUSE, REPLACE = WHEN_BUSY = ("queue", "refuse", "replace")

#: Goals that wait; more are rejected.
MOST_WAITING = 16


class _NextTurn:
    """Awaited, it lets the executor do something else first."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class SegmentAction:
    """Takes goals, hands them to the node's worker one after the other, and ends each with its volume's report.

    Args:
        node: has the parameter `when_busy`.
        reporting: of the node; what comes on topics goes through it too.
        work: what is done for a request; see `Reporting.take_up`.
    """

    def __init__(
        self, node: StageNode, reporting: Reporting, work: Callable[[SegmentRequest, VolumeReport, Cancelled], None]
    ) -> None:
        self._node = node
        self._reporting = reporting
        self._work = work
        self._lock = threading.RLock()  # work that cannot begin ends at once, and the next one begins
        self._waiting: deque[ServerGoalHandle] = deque()
        self._begun: ServerGoalHandle | None = None  # the goal that is worked on
        self._to_cancel: set[bytes] = set()  # goals whose client asked for that
        reporting.when_idle = self._begin_next
        self._server = DeferredActionServer(
            node,
            SegmentVolume,
            "~/segment_volume",
            execute_callback=lambda handle: None,  # is never called
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
        )

    def destroy(self) -> None:
        """Withdraw the action."""
        self._server.destroy()

    def _on_goal(self, goal: SegmentVolume.Goal) -> GoalResponse:
        when_busy = self._node.get_parameter("when_busy").value
        if not self._node.active:
            why = "the node is not active"
        elif when_busy == REFUSE and (self._reporting.busy or self._waiting):
            why = f"the node is busy, and when_busy is '{REFUSE}'"
        elif when_busy == QUEUE and len(self._waiting) >= MOST_WAITING:
            why = f"{MOST_WAITING} goals wait already"
        else:
            return GoalResponse.ACCEPT
        self._node.diagnostics.note(f"a goal of segment_volume was rejected: {why}")
        return GoalResponse.REJECT

    def _on_accepted(self, handle: ServerGoalHandle) -> None:
        with self._lock:
            if self._node.get_parameter("when_busy").value == QUEUE:
                self._waiting.append(handle)
                self._begin_next()
            else:
                self._begin(handle)

    def _begin_next(self) -> None:
        with self._lock:
            if self._waiting and not self._reporting.busy:
                self._begin(self._waiting.popleft())

    def _begin(self, handle: ServerGoalHandle) -> None:
        handle.execute()  # says so, and no more
        self._begun = handle

        def told(progress: Progress) -> None:
            handle.publish_feedback(SegmentVolume.Feedback(progress=progress))

        def work(report: VolumeReport, cancelled: Cancelled) -> None:
            self._work(request_of(handle.request), report, cancelled)

        goal = handle.request
        uid = "" if goal.path else goal.volume_uid
        doing = SegmentRequest(path=goal.path).doing
        self._reporting.take_up(uid, doing, work, partial(self._end, handle), told)

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        self._to_cancel.add(bytes(handle.goal_id.uuid))
        with self._lock:
            waits = handle in self._waiting
            if waits:
                self._waiting.remove(handle)
        why = "a client cancelled it"
        if waits:
            self._end(handle, self._reporting.cancelled(handle.request.volume_uid, why))
        elif handle is self._begun:
            self._node.worker.cancel(why)
        return CancelResponse.ACCEPT

    def _end(self, handle: ServerGoalHandle, report: SegmentationReport) -> None:
        """From any thread."""
        if handle is self._begun:
            self._begun = None
        self._server.finish(handle, partial(self._ended, report))

    async def _ended(self, report: SegmentationReport, handle: ServerGoalHandle) -> SegmentVolume.Result:
        """On the executor."""
        asked = bytes(handle.goal_id.uuid) in self._to_cancel
        while asked and report.status == SegmentationReport.STATUS_CANCELLED and not handle.is_cancel_requested:
            await _NextTurn()  # of two threads, one is still in the callback in which the client cancels
        if report.status in (SegmentationReport.STATUS_FOUND, SegmentationReport.STATUS_NOTHING_FOUND):
            handle.succeed()
        elif report.status == SegmentationReport.STATUS_CANCELLED and handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        self._to_cancel.discard(bytes(handle.goal_id.uuid))
        return SegmentVolume.Result(report=report)
