"""One process that runs nodes: start, spin, and an end that comes for certain."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from liver_seg_ros.atomic import abandon_unfinished
from liver_seg_ros.nodes.malloc import keep_freed_memory
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.signals import on_stop_signal

#: From SIGINT, SIGTERM or SIGHUP to the end of the process, at the latest; launch would send the next signal after 5 s.
SHUTDOWN_DEADLINE_S = 4.5

_WORK_TIMEOUT_S = 2.0


def run(make_nodes: Callable[[Sequence[str]], Sequence[StageNode]], arguments: Sequence[str] | None = None) -> None:
    """Run the nodes that `make_nodes` makes until SIGINT, SIGTERM or SIGHUP.

    Args:
        make_nodes: called with the command line's arguments that are not ROS's own.
        arguments: the command line; that of the process where None.
    """
    keep_freed_memory()
    arguments = sys.argv if arguments is None else list(arguments)
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    stop = _future_of_signals()
    nodes = make_nodes(rclpy.utilities.remove_ros_args(arguments)[1:])
    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
        node.start_if_asked()
    executor.spin_until_future_complete(stop)
    _end(nodes)


def _end(nodes: Sequence[StageNode]) -> None:
    for node in nodes:
        node.worker.cancel()
    deadline = time.monotonic() + _WORK_TIMEOUT_S
    if not all(node.worker.stop(deadline - time.monotonic()) for node in nodes):
        # Work is still inside a library call; leaving in the ordinary way would take Python from under it.
        abandon_unfinished()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()


def _future_of_signals() -> Future:
    """Done once a stop signal came; from then on the process ends at the deadline, whatever it does.

    Of the signal hears a thread of its own, because the main thread may wait inside DDS: with rclpy's handlers a
    publisher was seen to ignore SIGTERM for minutes.
    """
    stop = Future()

    def end(number: signal.Signals) -> None:
        # SIGALRM's default action ends the process in the kernel, without any thread's help.
        signal.setitimer(signal.ITIMER_REAL, SHUTDOWN_DEADLINE_S)
        stop.set_result(None)

    on_stop_signal(end)
    return stop
