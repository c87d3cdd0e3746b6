"""One process that runs nodes: start, spin, and an end that comes for certain."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from liver_seg_ros.nodes.memory import keep_freed_memory
from liver_seg_ros.nodes.stage_node import StageNode

#: From SIGINT or SIGTERM to the end of the process, at the latest.
SHUTDOWN_DEADLINE_S = 8.0

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(make_nodes: Callable[[Sequence[str]], Sequence[StageNode]], arguments: Sequence[str] | None = None) -> None:
    """Run the nodes that `make_nodes` makes until SIGINT or SIGTERM.

    Args:
        make_nodes: called with the command line's arguments that are not ROS's own.
        arguments: the command line; that of the process where None.
    """
    keep_freed_memory()
    arguments = sys.argv if arguments is None else list(arguments)
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    _end_on_signals()
    executor = SingleThreadedExecutor()
    nodes = make_nodes(rclpy.utilities.remove_ros_args(arguments)[1:])
    for node in nodes:
        executor.add_node(node)
        node.start_if_asked()
    with suppress(ExternalShutdownException):
        executor.spin()
    for node in nodes:
        node.stop()
        node.destroy_node()
    rclpy.try_shutdown()


def _end_on_signals() -> None:
    """Let SIGINT and SIGTERM end spin(), and the process at the deadline whatever else it does.

    The signal is read from a pipe by a thread of its own, because Python's handlers wait for the main thread, and that
    one may wait inside DDS: with rclpy's handlers a publisher was seen to ignore SIGTERM for minutes.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: None)  # replaces the default action; the pipe tells

    def wait() -> None:
        os.read(reading, 1)
        # SIGALRM's default action ends the process in the kernel, without any thread's help.
        signal.setitimer(signal.ITIMER_REAL, SHUTDOWN_DEADLINE_S)
        rclpy.try_shutdown()

    threading.Thread(target=wait, name="signals", daemon=True).start()
