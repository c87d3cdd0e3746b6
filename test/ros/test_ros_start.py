# SPDX-License-Identifier: Apache-2.0
"""What ROS 2 itself refuses before a node is there: one line on stderr and exit code 2, as what the node refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("module", "arguments", "secured", "says"),
    [
        ("slice_viewer", ["--nonsense"], False, "'--nonsense'"),
        ("planner", ["--params-file", "not_there.yaml"], False, "not_there.yaml"),
        ("bags.recorder", ["-r", "a:=b:=c"], False, "'-r a:=b:=c'"),
        ("needle_guard", [], True, "SECURITY ERROR"),
    ],
)
def test_what_ros_refuses_is_one_line(
    module: str, arguments: list[str], secured: bool, says: str, tmp_path: Path
) -> None:
    security = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce", "ROS_SECURITY_KEYSTORE": "none"}
    run = subprocess.run(
        [sys.executable, "-m", f"liver_seg_ros.nodes.{module}", "bag", "--ros-args", *arguments],
        cwd=tmp_path, env=os.environ | (security if secured else {}), capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    lines = [line for line in run.stderr.splitlines() if "[rcl]" not in line]  # rcl's own log
    assert run.returncode == 2 and len(lines) == 1 and says in lines[0], run.stderr
