# SPDX-License-Identifier: Apache-2.0
"""Commands that are nodes of ROS 2: the process becomes the node, so that signals and exit codes are the node's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from liver_seg_ros.errors import InputError


def become_node(
    module: str, command: str, bag: Path, options: Mapping[str, object], switches: Mapping[str, bool]
) -> None:
    """Run `liver_seg_ros.nodes.<module>` in place of this process; does not return.

    Raises `InputError` where ROS 2 or the library of bags is missing.
    """
    from liver_seg_ros.extras import need

    need("bags", f"liver-seg {command}")
    if find_spec("rclpy") is None:
        raise InputError(
            f"liver-seg {command} needs ROS 2: source /opt/ros/<distribution>/setup.bash, or run make setup and take"
            " .venv/bin/liver-seg"
        )
    words = [str(bag.expanduser().absolute())]
    words += [f"{name}={value}" for name, value in options.items() if value is not None]
    words += [name for name, wanted in switches.items() if wanted]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", f"liver_seg_ros.nodes.{module}", *words])  # noqa: S606  Python itself
