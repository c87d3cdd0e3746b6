"""What a node says about itself on `/diagnostics`: its state, its last volume and its last error, each in one line."""

from __future__ import annotations

import threading

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from liver_seg_ros.errors import InputError
from liver_seg_ros.nodes.qos import live

_PERIOD_S = 1.0

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
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", live())
        self._timer = node.create_timer(_PERIOD_S, self.publish)

    def set_state(self, state: str) -> None:
        """The lifecycle state."""
        self._change(state=state)

    def say(self, message: str, **values: str) -> None:
        """Everything is well; what the node does now. Ends an earlier error, which stays as `last_error`."""
        self._node.get_logger().info(message)
        self._change(OK, message, **values)

    def warn(self, message: str) -> None:
        """Something is missing, and the node goes on."""
        self._node.get_logger().warning(message)
        self._change(WARN, message, last_error=message)

    def fail(self, error: Exception) -> None:
        """The work failed: through its input (`error_kind` "input") or through a bug ("internal"). The node lives."""
        if isinstance(error, InputError):
            kind, message = "input", str(error)
        else:
            kind, message = "internal", " ".join(f"{type(error).__name__}: {error}".split())
        self._node.get_logger().error(message)
        self._change(ERROR, message, last_error=message, error_kind=kind)

    def publish(self) -> None:
        """Publish the status as it is."""
        with self._lock:
            values = [KeyValue(key=key, value=value) for key, value in self._values.items()]
            status = DiagnosticStatus(
                level=self._level, name=self._node.get_fully_qualified_name(), message=self._message, values=values
            )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _change(self, level: bytes | None = None, message: str | None = None, **values: str) -> None:
        with self._lock:
            self._level = self._level if level is None else level
            self._message = self._message if message is None else message
            self._values.update(values)
        self.publish()
