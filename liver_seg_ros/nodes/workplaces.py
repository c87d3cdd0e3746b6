# SPDX-License-Identifier: Apache-2.0
"""Where a node's heavy work is done: in a process of its own, unless the parameter `worker_process` says otherwise."""

from __future__ import annotations

from collections.abc import Callable

from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.offload.worker_process import SameProcess, WorkerProcess, Workplace


def workplace(node: StageNode, make: Callable[..., object], *args: object) -> Workplace:
    """Where this node's work is done by the object that `make` makes there of `args`; the node has `WORKER_PROCESS`."""
    if node.get_parameter("worker_process").value:
        niceness = node.get_parameter("worker_niceness").value
        return WorkerProcess(node.get_fully_qualified_name(), make, *args, niceness=niceness)
    return SameProcess(make, *args)
