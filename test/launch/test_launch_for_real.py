# SPDX-License-Identifier: Apache-2.0
"""The launch file, launched: what it starts, and that nothing outlives it. Runs where `launch` is installed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="launch is not on PyPI: the launch file was not launched")
ament = pytest.importorskip("ament_index_python.packages")

LAUNCH_FILE = Path(__file__).resolve().parents[2] / "launch" / "liver_seg.launch.py"
PATIENCE_S = 100.0
READY = ("[segmentation]: waiting for a CT", "[reconstruction]: waiting for labels")

# What `ros2 launch` does with a file and its arguments.
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = [tuple(word.split(":=", 1)) for word in sys.argv[2:]]
service = LaunchService(noninteractive=True)
file = IncludeLaunchDescription(PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments)
service.include_launch_description(LaunchDescription([file]))
sys.exit(service.run())
"""


class Launched:
    """A launch of the file in a namespace of its own, by which its processes are found."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.namespace = f"launched_{uuid.uuid4().hex}"
        self._log = folder / "launch.log"
        environment = {**os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_LOG_DIR": str(folder)}
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, LAUNCH_FILE, f"namespace:={self.namespace}", *arguments],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        """All lines so far, without the namespace before the nodes' names."""
        return self._log.read_text().replace(f"{self.namespace}.", "")

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Fail the test where `condition` does not come true in time."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    """Launches the file with arguments; what is left of it ends with the test."""
    launches: list[Launched] = []

    def start(*arguments: str) -> Launched:
        launches.append(Launched(tmp_path, *arguments))
        return launches[-1]

    yield start
    for each in launches:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)  # also those that launch left behind
        each.process.wait()


@pytest.mark.parametrize(("composed", "processes"), [("true", 1), ("false", 2)])
def test_the_nodes_start_and_sigint_ends_them(
    launched: Callable[..., Launched], processes_that_mention: Callable[[str], list[str]], composed: str, processes: int
) -> None:
    launch = launched(f"composed:={composed}", "parent_frame:=none")
    launch.wait_until(lambda: all(line in launch.said() for line in READY))
    assert len(processes_that_mention(f"__ns:=/{launch.namespace}")) == processes
    launch.process.send_signal(signal.SIGINT)
    launch.wait_until(lambda: launch.process.poll() is not None)
    assert launch.process.returncode == 0
    assert launch.said().count("process has finished cleanly") == processes
    assert not processes_that_mention(f"__ns:=/{launch.namespace}")


@pytest.mark.skipif("rviz2" in ament.get_packages_with_prefixes(), reason="rviz2 is installed")
@pytest.mark.parametrize("composed", ["true", "false"])
def test_rviz_that_is_not_there_leaves_no_node_behind(
    launched: Callable[..., Launched], processes_that_mention: Callable[[str], list[str]], composed: str
) -> None:
    launch = launched("rviz:=true", f"composed:={composed}")
    launch.wait_until(lambda: launch.process.poll() is not None)
    assert launch.process.returncode == 1
    assert "there is no package rviz2" in launch.said() and "process started" not in launch.said()
    assert not processes_that_mention(f"__ns:=/{launch.namespace}")
