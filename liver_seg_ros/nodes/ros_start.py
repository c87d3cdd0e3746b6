# SPDX-License-Identifier: Apache-2.0
"""ROS 2 begins in a process, or says in one line why it does not: arguments, parameter files, names, security."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import rclpy
from rclpy.exceptions import NameValidationException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.signals import SignalHandlerOptions

from liver_seg_ros.errors import InputError

#: Where in rcl's C code it was said; nobody who starts a node wants to know.
_PLACE = re.compile(r", at \S+:\d+")


def init_ros(arguments: Sequence[str]) -> None:
    """Begin ROS 2 with the process's `arguments`, without handlers of signals. Raises `InputError` where it refuses."""
    with ros_refusals():
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)


@contextmanager
def ros_refusals() -> Iterator[None]:
    """What ROS 2 refuses within, by its own libraries, becomes an `InputError` of one line."""
    try:
        yield
    except rclpy_implementation.UnknownROSArgsError as error:
        raise InputError(f"ROS 2 does not know {str(error).strip('[]')} behind --ros-args") from error
    except (rclpy_implementation.RCLError, NameValidationException) as error:
        said = " ".join(_PLACE.sub("", str(error)).split()).removeprefix("failed to initialize rcl: ")
        raise InputError(f"ROS 2 does not start this node: {said}") from error
