# SPDX-License-Identifier: Apache-2.0
"""What a node says about itself on `/diagnostics`: its state, its last volume, its last error and its doubts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from liver_seg_ros.errors import InputError
from liver_seg_ros.nodes import library_warnings, own_memory
from liver_seg_ros.nodes.messages.text import shown
from liver_seg_ros.nodes.qos import live
from liver_seg_ros.nodes.throughput import Throughput
from liver_seg_ros.plausibility.judgment import PlausibilityWarning

_PERIOD_S = 1.0

#: Warnings of the packages below that are kept, the last.
_MOST_REMARKS = 10

OK = DiagnosticStatus.OK
WARN = DiagnosticStatus.WARN
ERROR = DiagnosticStatus.ERROR


class NodeDiagnostics:
    """Publishes one `DiagnosticStatus` per second, and at once when something changes. Safe from any thread."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._level: bytes = OK
        self._message = "started"
        self._values = {"state": "unconfigured", "last_volume": "", "last_error": "", "error_kind": ""}
        self._values |= {"outcome": "", "outcome_volume": "", "runtime": "", "models": ""}
        self._throughput = Throughput(time.monotonic())
        self._doubts: dict[str, str] = {}  # code to text, of the last result
        self._remarks: list[str] = []  # of the packages below, about the last volume
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", live())
        # The machine's own time: where a simulation's does not run, the node is still there.
        self._timer = node.create_timer(_PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def set_state(self, state: str) -> None:
        """The lifecycle state."""
        self._change(state=state)

    def set_outcome(self, outcome: str, volume_uid: str) -> None:
        """How the work on a volume ended, as `volume_report` calls it."""
        self._change(outcome=outcome, outcome_volume=volume_uid)

    def set_done(self, stages_s: Mapping[str, float]) -> None:
        """The work on a volume was done; `stages_s` is how long each of its stages took."""
        with self._lock:
            self._throughput.done(stages_s, time.monotonic())
        self.publish()

    def note(self, message: str) -> None:
        """Something was refused that has nothing to do with the work: said once, and all stays as it was."""
        self._node.get_logger().warning(shown(message))
        self._publish(WARN, message)

    def say(self, message: str, **values: str) -> None:
        """Everything is well; what the node does now. Ends an earlier error, which stays as `last_error`."""
        self._node.get_logger().info(shown(message))
        self._change(OK, message, **values)

    def begin(self, message: str, **values: str) -> None:
        """Work on the next volume begins; what was to be doubted of the one before is over."""
        with self._lock:
            self._doubts, self._remarks = {}, []
        library_warnings.say_again()
        self.say(message, **values)

    def conclude(self, message: str, doubts: Iterable[PlausibilityWarning] = (), **values: str) -> None:
        """The work is done; level WARN where there are reasons to doubt the result, or the packages below warned."""
        with self._lock:
            self._doubts = {doubt.code: doubt.message for doubt in doubts}
            reasons = [*self._doubts, *(["see library_warnings"] if self._remarks else [])]
        if not reasons:
            self.say(message, **values)
            return
        message = f"{message}; warnings: {', '.join(reasons)}"
        self._node.get_logger().warning(shown(message))
        self._change(WARN, message, **values)

    def remark(self, text: str) -> None:
        """Something that the packages below warn of; of one volume the same is said once."""
        with self._lock:
            if text in self._remarks:
                return
            self._remarks = [*self._remarks, text][-_MOST_REMARKS:]
        self._node.get_logger().warning(shown(text))
        self._change(WARN, text)

    def warn(self, message: str) -> None:
        """Something is missing, and the node goes on."""
        self._node.get_logger().warning(shown(message))
        self._change(WARN, message, last_error=message)

    def fail(self, error: Exception) -> None:
        """The work failed: through its input (`error_kind` "input") or through a bug ("internal"). The node lives."""
        kind, message = "input" if isinstance(error, InputError) else "internal", in_one_line(error)
        self._node.get_logger().error(shown(message))
        self._change(ERROR, message, last_error=message, error_kind=kind)

    def publish(self) -> None:
        """Publish the status as it is."""
        self._publish()

    def _publish(self, level: bytes | None = None, message: str | None = None) -> None:
        """Publish the status, or this level and message for once."""
        with self._lock:
            memory = own_memory.bytes_now()
            entries = {
                **self._values,
                **self._throughput.values(time.monotonic()),
                "memory_mb": "" if memory is None else f"{memory / 1e6:.0f}",
                "warnings": ", ".join(self._doubts),
                **{f"warning {code}": text for code, text in self._doubts.items()},
                "library_warnings": "; ".join(self._remarks),
            }
            status = DiagnosticStatus(
                level=self._level if level is None else level,
                name=self._node.get_fully_qualified_name(),
                message=shown(self._message if message is None else message),
                hardware_id=socket.gethostname(),
                values=[KeyValue(key=key, value=shown(value)) for key, value in entries.items()],
            )
            array = DiagnosticArray(status=[status])
            array.header.stamp = self._node.get_clock().now().to_msg()
            self._publisher.publish(array)  # under the lock: what is older never comes after what is newer

    def _change(self, level: bytes | None = None, message: str | None = None, **values: str) -> None:
        with self._lock:
            self._level = self._level if level is None else level
            self._message = self._message if message is None else message
            self._values.update(values)
        self.publish()


def in_one_line(error: Exception) -> str:
    """What an operator reads of an error."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
