"""An action server whose goals are worked on elsewhere: nothing waits in the executor while they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer
from rclpy.action.server import ServerGoalHandle


class DeferredActionServer(ActionServer):
    """`execute()` of a goal handle only says that the work has begun; `finish` ends the goal.

    rclpy runs a goal's callback on a thread of the executor until its result is there; one that awaits is called
    again and again, and takes a whole core.
    """

    def notify_execute(self, goal_handle: ServerGoalHandle, execute_callback: Callable[..., Any] | None) -> None:
        """Nothing: the work was begun before."""

    def finish(self, goal_handle: ServerGoalHandle, end: Callable[[ServerGoalHandle], Any]) -> None:
        """Have the executor call `end`, which sets the goal's last state and gives its result. Safe from any thread."""
        if self._node.executor is not None:  # None: the process ends
            super().notify_execute(goal_handle, end)
