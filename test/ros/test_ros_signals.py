# SPDX-License-Identifier: Apache-2.0
"""SIGINT, SIGTERM and SIGHUP at any moment end a node's process in time, with exit code 0 and nothing to read."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from rclpy.lifecycle import TransitionCallbackReturn

from liver_seg_ros.errors import CancelledError
from liver_seg_ros.nodes.stage_node import StageNode

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def hears(process):
    """Whether the process has a handler for SIGTERM, which Python itself has not."""
    caught = Path(f"/proc/{process.pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def shared_memory(pid):
    """The files in shared memory that a process has mapped for DDS."""
    return set(re.findall(r"/dev/shm/fastrtps_[0-9a-f]{16}\b", Path(f"/proc/{pid}/maps").read_text()))


def end(process, number):
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(10) == 0
    return time.monotonic() - began


@pytest.mark.parametrize("module", ["ct_source", "liver_seg"])
def test_a_signal_while_python_imports_and_nodes_begin_ends_the_process(ros, models, module):
    for number, delay_s in zip(NUMBERS * 3, (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0), strict=True):
        process = ros.start(module, models_dir=str(models))
        deadline = time.monotonic() + 20.0
        while not hears(process):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        assert "_rclpy" not in Path(f"/proc/{process.pid}/maps").read_text(), "what takes time was imported before"
        time.sleep(delay_s)
        assert end(process, number) < 4.0  # 2 s where nothing else runs
    assert "Traceback" not in ros.log(module)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_signal_after_cleanup_ends_the_process(ros, models, runtime):
    """OpenVINO took the memory away that signal handlers run on."""
    of_others = shared_memory("self")
    process = ros.start("segmentation", models_dir=str(models), runtime=runtime, autostart=False)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP) * 2:
        assert ros.change_state("segmentation", transition)
    own = shared_memory(process.pid) - of_others
    assert end(process, signal.SIGINT) < 4.0
    assert own and not any(Path(file).exists() for file in own)
    assert "Traceback" not in ros.log("segmentation")


def test_a_signal_while_a_node_configures_does_not_wait_for_it(ros, models, tmp_path):
    """The main thread waits for a model that never comes: a named pipe that nobody writes to."""
    folder = tmp_path / "models"
    for stage in ("localizer", "segmenter"):
        (folder / stage).mkdir(parents=True)
        (folder / stage / "model.yaml").write_bytes((models / stage / "model.yaml").read_bytes())
    os.mkfifo(folder / "localizer/model.onnx")
    process = ros.start("segmentation", models_dir=str(folder))
    ros.spin_until(lambda: any(name == "segmentation" for name in ros.node.get_node_names()))
    time.sleep(1.0)
    assert process.poll() is None
    assert end(process, signal.SIGTERM) < 4.0
    assert "Traceback" not in ros.log("segmentation")


class Ended(StageNode):
    def configure(self):
        raise CancelledError("the worker process was ended")


def test_a_transition_that_the_end_cancels_is_said_without_a_traceback(ros, capfd):
    node = Ended("ended", context=ros.context)
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    finally:
        node.destroy_node()
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out and "the worker process was ended" in said.err + said.out
