"""One process that runs nodes: start, spin, and an end that comes for certain."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from liver_seg_ros.nodes.memory import keep_freed_memory
from liver_seg_ros.nodes.stage_node import StageNode

#: From SIGINT or SIGTERM to the end of the process, at the latest.
SHUTDOWN_DEADLINE_S = 8.0

_STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})


def run(make_nodes: Callable[[Sequence[str]], Sequence[StageNode]], arguments: Sequence[str] | None = None) -> None:
    """Run the nodes that `make_nodes` makes until SIGINT or SIGTERM.

    Args:
        make_nodes: called with the command line's arguments that are not ROS's own.
        arguments: the command line; that of the process where None.
    """
    # Blocked in every thread from here on, so that only _end_on_signal gets them: rclpy's own handlers were seen to
    # miss SIGTERM while a publisher waits inside DDS.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    keep_freed_memory()
    arguments = sys.argv if arguments is None else list(arguments)
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    threading.Thread(target=_end_on_signal, name="signals", daemon=True).start()
    executor = SingleThreadedExecutor()
    nodes = make_nodes(rclpy.utilities.remove_ros_args(arguments)[1:])
    for node in nodes:
        executor.add_node(node)
        node.start_if_asked()
    try:
        executor.spin()
    except ExternalShutdownException:
        pass
    for node in nodes:
        node.stop()
        node.destroy_node()
    rclpy.try_shutdown()


def _end_on_signal() -> None:
    signal.sigwait(_STOP_SIGNALS)
    # SIGALRM's default action ends the process in the kernel, whatever Python and DDS are stuck in.
    signal.setitimer(signal.ITIMER_REAL, SHUTDOWN_DEADLINE_S)
    rclpy.try_shutdown()
