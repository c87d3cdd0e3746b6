# SPDX-License-Identifier: Apache-2.0
"""An action server whose goals are worked on elsewhere: nothing waits in the executor while they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer
from rclpy.action.server import ServerGoalHandle


class DeferredActionServer(ActionServer):
    """`execute()` of a goal handle only says that the work has begun; `finish` ends the goal.

    rclpy calls a goal's callback when the goal begins, and the callback has to give the result: it would hold a thread
    of the executor for as long as the work takes, or await something that the executor looks at whenever it wakes.
    """

    def notify_execute(self, goal_handle: ServerGoalHandle, execute_callback: Callable[..., Any] | None) -> None:
        """Nothing: the work was begun before."""

    def finish(self, goal_handle: ServerGoalHandle, end: Callable[[ServerGoalHandle], Any]) -> None:
        """Have the executor call `end`, which sets the goal's last state and gives its result. Safe from any thread."""
        if self._node.executor is not None:  # None: the process ends
            super().notify_execute(goal_handle, end)
