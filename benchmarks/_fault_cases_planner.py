# SPDX-License-Identifier: Apache-2.0
"""Faults of the node `planner`, for `faults.py`: what it prepared is lost, and prepared again."""

from __future__ import annotations

import os
import signal
from typing import Any

from _fault_cases import Bench
from _fault_tries import Tries, expect
from builtin_interfaces.msg import Time

from liver_seg_interfaces.msg import RequestStatus
from liver_seg_interfaces.srv import AssessResection
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs

#: What it says before it prepares.
NO_LABELS = "no labels came yet on the topic labels"


class Planning:
    """A `planner` that has the bench's labels, and a cut far beside them, which leaves all of the liver."""

    def __init__(self, bench: Bench, ros: Any) -> None:
        self.ros = ros
        publisher = ros.publisher("labels")
        for slab in volume_to_slabs(bench.labels, 8, Time(sec=1)):
            publisher.publish(slab)
        self.liver_m3 = bench.labels.counts()["liver"] * bench.labels.geometry.voxel_volume_ml / 1e6
        self.process = self.start()

    def start(self) -> Any:
        return self.ros.start("planner", use_ct=False)

    def asked(self) -> AssessResection.Response:
        request = AssessResection.Request()
        request.point.z, request.normal.z = 100.0, 1.0
        return self.ros.call(AssessResection, "/planner/assess_resection", request)

    def expect_right(self) -> None:
        """Sooner or later it answers, and what it answers is right."""
        said: list[AssessResection.Response] = []

        def answered() -> bool:
            said.append(self.asked())
            return said[-1].status.code != RequestStatus.NOT_READY

        self.ros.spin_until(answered)
        answer = said[-1]
        expect(answer.status.code == RequestStatus.OK, answer.status.text)
        left = abs(answer.remnant_m3 + answer.tumor_m3 - answer.liver_m3) < 1e-9 and answer.resected_m3 == 0
        expect(left and answer.liver_m3 >= self.liver_m3, f"{answer.remnant_m3} of {answer.liver_m3} m3 are left")


def killed_planner(bench: Bench, ros: Any, tries: Tries) -> None:
    """SIGKILL while it prepares and after that, in turn; the new process takes the labels that are latched."""
    graph = Planning(bench, ros)
    graph.expect_right()
    for number in tries.numbers():
        graph.process.kill()
        graph.process.wait()
        with tries.one():
            graph.process = graph.start()
            if number % 2 == 0:
                ros.spin_until(lambda: graph.asked().status.text != NO_LABELS)
                graph.process.kill()
                graph.process.wait()
                graph.process = graph.start()
            graph.expect_right()


def killed_worker_of_planner(bench: Bench, ros: Any, tries: Tries) -> None:
    """SIGKILL of its worker process, with what that has prepared; a new one prepares the same."""
    graph = Planning(bench, ros)
    graph.expect_right()
    for _ in tries.numbers():
        [worker] = ros.workers(graph.process)
        os.kill(worker, signal.SIGKILL)
        with tries.one():
            graph.expect_right()


PLANNER_CASES = {
    "`planner` killed, while it prepares or later": killed_planner,
    "the worker process of `planner` killed": killed_worker_of_planner,
}
