# SPDX-License-Identifier: Apache-2.0
"""One process that runs nodes: start, spin, and an end that comes for certain."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.task import Future

from liver_seg_ros.atomic import abandon_unfinished
from liver_seg_ros.errors import InputError
from liver_seg_ros.malloc import keep_freed_memory
from liver_seg_ros.nodes.ros_start import init_ros, ros_refusals
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.offload.channel import end_all
from liver_seg_ros.signals import on_stop_signal

#: From SIGINT, SIGTERM or SIGHUP on: how long work may take to notice, when the process ends whatever its main thread
#: waits for, and when the kernel ends it, whatever holds all of Python; launch would send the next signal after 5 s.
WORK_TIMEOUT_S = 1.0
SHUTDOWN_DEADLINE_S = 1.7
KERNEL_DEADLINE_S = 4.5


def run(
    make_nodes: Callable[[Sequence[str]], Sequence[StageNode]], arguments: Sequence[str] | None = None, threads: int = 1
) -> NoReturn:
    """Run the nodes that `make_nodes` makes until SIGINT, SIGTERM or SIGHUP.

    Args:
        make_nodes: called with the command line's arguments that are not ROS's own.
        arguments: the command line; that of the process where None.
        threads: of the executor; callbacks of one group never run at once, whatever it is.
    """
    stop = _future_of_signals()
    keep_freed_memory()
    arguments = sys.argv if arguments is None else list(arguments)
    try:
        init_ros(arguments)
    except InputError as error:
        _refuse(error)
    _run_until(stop, make_nodes, arguments, threads)
    # What DDS has in shared memory goes with the last of its objects; the interpreter's own way out takes libraries
    # apart for seconds on a busy machine and lets no thread in that could end it.
    context = rclpy.get_default_context()
    rclpy.try_shutdown(context=context)
    gc.collect()
    context.destroy()
    gc.collect()
    _leave()


def _run_until(
    stop: Future, make_nodes: Callable[[Sequence[str]], Sequence[StageNode]], arguments: Sequence[str], threads: int
) -> None:
    """Make the nodes and run them; nothing refers to them afterwards."""
    try:
        with ros_refusals():
            nodes = make_nodes(rclpy.utilities.remove_ros_args(arguments)[1:])
    except (ParameterException, InputError) as error:  # a parameter of another type or out of its range, among others
        _refuse(error)
    executor = SingleThreadedExecutor() if threads == 1 else MultiThreadedExecutor(threads)
    for node in nodes:
        executor.add_node(node)
        if not stop.done():
            node.start_if_asked()
    executor.spin_until_future_complete(stop)
    _end(nodes)


def _refuse(error: Exception) -> NoReturn:
    sys.stderr.write(f"{' '.join(str(error).split())}\n")
    sys.exit(2)


def _end(nodes: Sequence[StageNode]) -> None:
    for node in nodes:
        node.worker.cancel("the process ends")
    deadline = time.monotonic() + WORK_TIMEOUT_S
    if not all(node.worker.stop(deadline - time.monotonic()) for node in nodes):
        # Work is still inside a library call; leaving in the ordinary way would take Python from under it.
        _leave()
    for node in nodes:
        node.destroy_node()


def _leave() -> NoReturn:
    """End the process now, with exit code 0."""
    abandon_unfinished()
    end_all()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _future_of_signals() -> Future:
    """Done once a stop signal came; from then on the process ends at the deadline, whatever it does.

    Of the signal hears a thread of its own, because the main thread may wait inside DDS: with rclpy's handlers a
    publisher was seen to ignore SIGTERM for minutes.
    """
    stop = Future()

    def end(number: signal.Signals) -> None:
        # SIGALRM's default action ends the process in the kernel, without any thread's help.
        signal.setitimer(signal.ITIMER_REAL, KERNEL_DEADLINE_S)
        stop.set_result(None)
        time.sleep(SHUTDOWN_DEADLINE_S)
        _leave()  # the main thread is still busy, for example building an engine in `configure`

    on_stop_signal(end)
    return stop
