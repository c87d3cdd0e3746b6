# SPDX-License-Identifier: Apache-2.0
"""Parameters are judged when they are set: what is wrong, or comes too late to matter, is refused with the reason."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter

from liver_seg_ros.dicom_network.peers import check_title, parse_allowed, parse_list, parse_peer
from liver_seg_ros.errors import InputError
from liver_seg_ros.igtl.devices import taken_of
from liver_seg_ros.labels import structures_named

#: Raises `InputError` that says what the value must be, without the parameter's name.
Check = Callable[[Any], None]

#: What tf2 takes and no shell, file or display stumbles over.
_FRAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~/-]*")


class Applies(Enum):
    """When a new value has an effect; where that is over, it is refused."""

    ANY_TIME = "any time"
    AT_ACTIVATION = "deactivate the node first"
    AT_CONFIGURATION = "clean the node up first"


class ParameterRules:
    """The rules of one node's parameters.

    Args:
        node: whose.
        state: the node's `(configured, active)`.
        changed: is told of values that were accepted, before they are in effect.
    """

    def __init__(
        self,
        node: LifecycleNode,
        state: Callable[[], tuple[bool, bool]],
        changed: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._node = node
        self._state = state
        self._changed = changed
        self._rules: dict[str, tuple[Check, Applies]] = {}
        node.add_on_set_parameters_callback(self._judge)

    def declare(
        self, name: str, default: Any, descriptor: ParameterDescriptor, check: Check | None, applies: Applies
    ) -> None:
        """Declare a parameter. A value that it is started with is judged when the node is configured."""
        self._node.declare_parameter(name, default, descriptor)
        self._rules[name] = (check or finite, applies)

    def check_all(self) -> None:
        """Raise `InputError` for the first value that its rule refuses."""
        for name in self._rules:
            self._check(name, self._node.get_parameter(name).value)

    def _check(self, name: str, value: Any) -> None:
        try:
            finite(value)
            self._rules[name][0](value)
        except InputError as error:
            raise InputError(f"parameter {name} is {_in_words(value)}; {error}") from error

    def _judge(self, parameters: list[Parameter]) -> SetParametersResult:
        configured, active = self._state()
        changed = {}
        for parameter in parameters:
            name, value = parameter.name, parameter.value
            if name not in self._rules or _same(value, self._node.get_parameter(name).value):
                continue
            try:
                self._check(name, value)
            except InputError as error:
                return SetParametersResult(successful=False, reason=str(error))
            applies = self._rules[name][1]
            late = {Applies.AT_CONFIGURATION: configured, Applies.AT_ACTIVATION: active}.get(applies, False)
            if late:
                reason = f"parameter {name} has no effect on a node that is {'active' if active else 'configured'}"
                return SetParametersResult(successful=False, reason=f"{reason}; {applies.value}")
            changed[name] = value
        if changed:
            self._changed(changed)
        return SetParametersResult(successful=True)


def finite(value: Any) -> None:
    """A `Check`: no NaN and no infinity, alone or in a list."""
    numbers = value if _is_list(value) else [value]
    if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
        raise InputError("give finite numbers")


def one_of(*names: str) -> Check:
    """A `Check`: one of these."""

    def check(value: str) -> None:
        if value not in names:
            raise InputError(f"give one of: {', '.join(names)}")

    return check


def frame_or_nothing(value: str) -> None:
    """A `Check`: the name of a frame, or nothing."""
    if value and not _FRAME.fullmatch(value):
        raise InputError("a frame has letters, digits and _ . ~ - / only, and does not begin with /")


def frame(value: str) -> None:
    """A `Check`: the name of a frame."""
    if not value:
        raise InputError("give the name of a frame")
    frame_or_nothing(value)


def structures(value: str) -> None:
    """A `Check`: names of the label table with commas between, or nothing."""
    structures_named(value)


def poses(value: str) -> None:
    """A `Check`: poses of OpenIGTLink and the frames that they move, or nothing."""
    taken_of(value)


def title(value: str) -> None:
    """A `Check`: an AE title of DICOM."""
    check_title(value)


def callers(value: str) -> None:
    """A `Check`: who may send DICOM objects, with commas between, or nothing."""
    for entry in parse_list(value):
        parse_allowed(entry)


def peer_or_nothing(value: str) -> None:
    """A `Check`: who is called over DICOM, or nobody."""
    if value:
        parse_peer(value)


def place(value: Any) -> None:
    """A `Check`: a point in metres."""
    if not _are_numbers(value, 3):
        raise InputError("give three finite lengths in metres")


def rotation(value: Any) -> None:
    """A `Check`: a unit quaternion."""
    if not _are_numbers(value, 4) or not abs(math.hypot(*value) - 1.0) < 1e-3:
        raise InputError("give a unit quaternion x, y, z, w")


def direction(value: Any) -> None:
    """A `Check`: three numbers that are not all zero."""
    if not _are_numbers(value, 3) or not any(value):
        raise InputError("that is no direction: give three numbers that are not all zero")


def _are_numbers(value: Any, count: int) -> bool:
    return _is_list(value) and len(value) == count and all(type(n) in (int, float) and math.isfinite(n) for n in value)


def _is_list(value: Any) -> bool:
    return (isinstance(value, Sequence) and not isinstance(value, str)) or hasattr(value, "tolist")


def _same(a: Any, b: Any) -> bool:
    return list(a) == list(b) if _is_list(a) and _is_list(b) else type(a) is type(b) and a == b


def _in_words(value: Any) -> str:
    return repr(list(value) if _is_list(value) else value)
