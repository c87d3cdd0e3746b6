# SPDX-License-Identifier: Apache-2.0
"""ROS 2, as far as it can be seen without starting it: packages, middleware, domain."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from liver_seg_ros.doctor.finding import Finding, Level, finding

PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
#: Linux hands out its own ports where those of higher domains lie (ROS 2's page on domain ids).
HIGHEST_DOMAIN = 101


def ros_findings(
    environment: Mapping[str, str] = os.environ, there: Callable[[str], bool] | None = None
) -> Iterator[Finding]:
    """Look at ROS 2; where it is not installed that is the only finding, as the command line needs none.

    Args:
        environment: variables of the process.
        there: whether Python can import a module; None asks Python.
    """
    there = there or (lambda name: find_spec(name) is not None)
    if not there("rclpy"):
        advice = "for the nodes: source /opt/ros/<distribution>/setup.bash, or pip install 'liver_seg_ros[ros]'"
        yield Finding("ROS 2", Level.WARNING, "rclpy cannot be imported", advice)
        return
    yield Finding("ROS 2", Level.OK, f"rclpy, {environment.get('ROS_DISTRO', 'no distribution sourced')}")
    level = Level.OK if there("liver_seg_interfaces") else Level.PROBLEM
    found = "built" if level == Level.OK else "liver_seg_interfaces cannot be imported"
    yield finding("messages", found, "colcon build, then source install/setup.bash", level)
    by = "tf2_ros" if there("tf2_ros") else "this package's own buffer"
    yield Finding("TF", Level.OK, f"needle_guard and planner listen by {by}")
    yield _domain(environment.get("ROS_DOMAIN_ID", ""))
    yield _profile(environment)


def _domain(text: str) -> Finding:
    name, advice = (
        "ROS domain",
        f"export ROS_DOMAIN_ID as a number from 0 to {HIGHEST_DOMAIN}, on all computers the same",
    )
    if not text:
        return Finding(name, Level.OK, "0: whoever is in this network with domain 0 shares the topics")
    if not text.isdigit() or int(text) > 232:
        return Finding(name, Level.PROBLEM, f"ROS_DOMAIN_ID is '{text}'", advice)
    return finding(name, text, advice, Level.OK if int(text) <= HIGHEST_DOMAIN else Level.WARNING)


def _profile(environment: Mapping[str, str]) -> Finding:
    name = "Fast DDS profile"
    middleware = environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if "fastrtps" not in middleware:
        found = f"none: the middleware is {middleware}"
        return Finding(name, Level.WARNING, found, "CTs were timed with rmw_fastrtps_cpp only; see docs/ros.md, Speed")
    file = next((environment[variable] for variable in PROFILES if environment.get(variable)), "")
    if not file:
        advice = "the launch file sets it; else export FASTRTPS_DEFAULT_PROFILES_FILE=.../config/fastdds_shm.xml"
        return Finding(name, Level.WARNING, "none: large CTs cross DDS more slowly", advice)
    if not Path(file).is_file():
        return Finding(name, Level.PROBLEM, f"there is no file {file}", "give one that is there, or unset the variable")
    return Finding(name, Level.OK, file)
