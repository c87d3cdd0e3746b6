"""One process that runs nodes: start, spin, and an end that comes for certain."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from liver_seg_ros.nodes.memory import keep_freed_memory
from liver_seg_ros.nodes.stage_node import StageNode

#: From SIGINT or SIGTERM to the end of the process, at the latest; launch would send the next signal after 5 s.
SHUTDOWN_DEADLINE_S = 4.5

_WORK_TIMEOUT_S = 2.0

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
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()


def _future_of_signals() -> Future:
    """Done once SIGINT or SIGTERM came; from then on the process ends at the deadline, whatever it does.

    The signal is read from a pipe by a thread of its own, because Python's handlers wait for the main thread, and that
    one may wait inside DDS: with rclpy's handlers a publisher was seen to ignore SIGTERM for minutes.
    """
    stop = Future()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: None)  # replaces the default action; the pipe tells

    def wait() -> None:
        os.read(reading, 1)
        # SIGALRM's default action ends the process in the kernel, without any thread's help.
        signal.setitimer(signal.ITIMER_REAL, SHUTDOWN_DEADLINE_S)
        stop.set_result(None)

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop
