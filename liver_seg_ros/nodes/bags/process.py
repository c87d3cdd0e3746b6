# SPDX-License-Identifier: Apache-2.0
"""A process that runs one plain node until its work is done or a signal comes: to record, and to play."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.logging import LoggingSeverity
from rclpy.node import Node
from rclpy.task import Future

from liver_seg_ros.errors import InputError, WriteError
from liver_seg_ros.malloc import keep_freed_memory
from liver_seg_ros.nodes.ros_start import init_ros, ros_refusals
from liver_seg_ros.signals import on_stop_signal

#: Spins for so many seconds, or less where a signal comes: then True.
Spin = Callable[[float], bool]


#: Is given the node and the options, and says what was done.
Work = Callable[[Node, Spin, argparse.Namespace], Mapping[str, object]]

_LEVELS = {"quiet": LoggingSeverity.WARN, "verbose": LoggingSeverity.DEBUG}


def run_with_node(name: str, work: Work, parser: argparse.ArgumentParser) -> None:
    """Do `work` with a node of that name; whatever it refuses is one line on stderr. Adds the common options.

    Exit codes: 0 done or ended by a signal, 2 refused, 1 no space.
    """
    stop = Future()
    on_stop_signal(lambda _: stop.set_result(None))
    keep_freed_memory()
    for flag in ("--json", "--quiet", "--verbose"):
        parser.add_argument(flag, action="store_true")
    try:
        init_ros(sys.argv)
        options = parser.parse_args(rclpy.utilities.remove_ros_args(sys.argv)[1:])
        with ros_refusals():
            node = Node(name)
    except InputError as error:
        sys.stderr.write(f"liver-seg: {error}\n")
        sys.exit(2)
    for flag, level in _LEVELS.items():
        if getattr(options, flag):
            node.get_logger().set_level(level)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def spin(duration_s: float) -> bool:
        deadline = time.monotonic() + duration_s
        while not stop.done() and (left := deadline - time.monotonic()) > 0:
            executor.spin_until_future_complete(stop, None if left == float("inf") else left)
        return stop.done()

    try:
        done: Mapping[str, object] = work(node, spin, options)
        code = 0
    except (InputError, WriteError) as error:
        sys.stderr.write(f"liver-seg: {error}\n")
        code = 2 if isinstance(error, InputError) else 1
        done = {"error": str(error), "exit_code": code}
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    if options.json:
        sys.stdout.write(f"{json.dumps(done)}\n")
    sys.exit(code)
