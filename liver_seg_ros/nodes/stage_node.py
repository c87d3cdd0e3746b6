# SPDX-License-Identifier: Apache-2.0
"""What the nodes have in common: lifecycle, diagnostics, a worker thread, and answers to stray requests."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from liver_seg_ros.errors import CancelledError, InputError
from liver_seg_ros.nodes import library_warnings, parameter_tables
from liver_seg_ros.nodes.diagnostics import NodeDiagnostics
from liver_seg_ros.nodes.messages.volumes import FRAME_ID
from liver_seg_ros.nodes.overridable_qos import OverridableQos
from liver_seg_ros.nodes.parameter_rules import ParameterRules
from liver_seg_ros.nodes.parameters import Row
from liver_seg_ros.nodes.worker import Worker

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE


class StageNode(OverridableQos):
    """A lifecycle node that does one stage of the work.

    Subclasses override `configure`, `activate`, `deactivate` and `cleanup`; each may raise `InputError`, which fails
    the transition and is said on `/diagnostics`.

    Args:
        name: of the node.
        parameters: its own, a table of `parameter_tables`.
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(self, name: str, parameters: Sequence[Row] = (), **kwargs: object) -> None:
        super().__init__(name, **kwargs)
        self.configured = False
        self.active = False
        self.rules = ParameterRules(self, lambda: (self.configured, self.active), self.parameters_changed)
        self.declare_missing((*parameter_tables.ALL, *parameters))
        self.diagnostics = NodeDiagnostics(self)
        library_warnings.add(self)
        self.worker = Worker(name, self._on_job_error, lambda: library_warnings.on_behalf_of(self))
        self._answer_invalid_transitions()

    def declare_missing(self, rows: Iterable[Row]) -> None:
        """Declare those of these parameters that are not declared yet."""
        for row in rows:
            if not self.has_parameter(row.name):
                default = list(row.default) if isinstance(row.default, tuple) else row.default
                self.rules.declare(row.name, default, row.descriptor(), row.check, row.applies)

    @property
    def ct_frame(self) -> str:
        """The frame of all that this node publishes in the CT's axes: of its own in each namespace."""
        named = str(self.get_parameter("ct_frame_id").value)
        return named or f"{self.get_namespace()}/{FRAME_ID}".strip("/")

    def parameters_changed(self, changed: Mapping[str, Any]) -> None:
        """New values that were judged good; they are in effect after this."""

    def configure(self) -> None:
        """Load what the work needs."""

    def activate(self) -> None:
        """Begin to take in and give out."""

    def deactivate(self) -> None:
        """Stop taking in. Work that runs has been cancelled."""

    def cleanup(self) -> None:
        """Let go of what `configure` loaded."""

    def say_library_warning(self, text: str, own: bool) -> None:
        """See `library_warnings.Speaker`: our own also on the diagnostics, those of others in the log only."""
        if own:
            self.diagnostics.remark(text)
        else:
            self.get_logger().warning(text)

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Callable[..., None], *rest: Any, **named: Any
    ) -> Any:
        """As rclpy's, but what `callback` raises is said and does not end the process."""
        return super().create_subscription(msg_type, topic, self._surviving(callback), *rest, **named)

    def create_timer(self, period_s: float, callback: Callable[..., None], *rest: Any, **named: Any) -> Any:
        """As rclpy's, but what `callback` raises is said and does not end the process."""
        return super().create_timer(period_s, self._surviving(callback), *rest, **named)

    def destroy_node(self) -> None:
        """Also stop telling the node what the packages below warn of."""
        library_warnings.remove(self)
        super().destroy_node()

    def start_if_asked(self) -> None:
        """Configure and activate where the parameter `autostart` is set."""
        if self.get_parameter("autostart").value and self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("inactive", self._configure, lambda: super(StageNode, self).on_configure(state))

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        # The publishers first: what `activate` publishes must not get lost.
        super().on_activate(state)
        self.active = True
        result = self._transition("active", self.activate)
        if result != SUCCESS:
            self.active = False
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.active = False
        self.worker.cancel("the node was deactivated")
        result = self._transition("inactive", self.deactivate, lambda: super(StageNode, self).on_deactivate(state))
        if result == SUCCESS:
            self.diagnostics.say("deactivated")
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.worker.cancel("the node was cleaned up")
        result = self._transition("unconfigured", self.cleanup, lambda: super(StageNode, self).on_cleanup(state))
        if result == SUCCESS:
            self.diagnostics.say("cleaned up")
        return result

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.active = False
        self.worker.cancel("the node was shut down")
        return self._transition("finalized", self.deactivate, lambda: super(StageNode, self).on_shutdown(state))

    def _configure(self) -> None:
        self.rules.check_all()
        self.configure()

    def _transition(
        self, goal_state: str, action: Callable[[], None], then: Callable[[], TransitionCallbackReturn] | None = None
    ) -> TransitionCallbackReturn:
        try:
            with library_warnings.on_behalf_of(self):
                action()
        except InputError as error:
            self.diagnostics.fail(error)
            return FAILURE
        except CancelledError as error:  # the process ends, say
            self.diagnostics.note(f"cancelled: {error}")
            return FAILURE
        except Exception as error:  # noqa: BLE001  rclpy would swallow it without a word
            self._on_job_error(error)
            return FAILURE
        result = SUCCESS if then is None else then()
        if result == SUCCESS:
            self.configured = goal_state in ("inactive", "active")
            self.diagnostics.set_state(goal_state)
        return result

    def _on_job_error(self, error: Exception) -> None:
        if not isinstance(error, InputError):
            self.get_logger().error("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        self.diagnostics.fail(error)

    def _surviving(self, callback: Callable[..., None]) -> Callable[..., None]:
        """rclpy lets whatever a callback raises escape from spin(): one message would end all nodes of the process."""

        @wraps(callback)
        def survived(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception as error:  # noqa: BLE001  the callback's boundary, as the worker's is that of jobs
                self._on_job_error(error)

        return survived

    def _answer_invalid_transitions(self) -> None:
        """Answer a transition that the present state does not have with success=False.

        rclpy lets its RCLError escape from spin(): one stray request would end the process, and go unanswered.
        """
        for service in self.services:
            if service.srv_type is ChangeState:
                service.callback = self._guarded(service.callback)

    def _guarded(
        self, change_state: Callable[[ChangeState.Request, ChangeState.Response], ChangeState.Response]
    ) -> Callable[[ChangeState.Request, ChangeState.Response], ChangeState.Response]:
        def answer(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
            try:
                return change_state(request, response)
            except rclpy_implementation.RCLError:
                wanted = request.transition.label or f"number {request.transition.id}"
                self.diagnostics.note(f"transition {wanted} is not possible in the present state and was refused")
                response.success = False
                return response

        return answer
