# SPDX-License-Identifier: Apache-2.0
"""The launch files demo.launch.py and bag.launch.py: what they start besides the nodes of liver_seg.launch.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Evaluate = Callable[..., Any]


def test_the_demo_makes_a_patient_once_and_then_publishes_it(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluated = evaluate("demo", phantom_dir=str(tmp_path), namespace="left", rviz="false")
    assert all(argument.description for argument in evaluated.arguments.values())
    *nodes, phantom, needle = evaluated.started
    assert [node.executable for node in nodes] == ["planner", "needle_guard", "slice_viewer", "liver_seg"]
    assert all(node.files[-1] == "demo.yaml" for node in nodes)
    assert nodes[-1].arguments == []  # the CT comes on its topic
    assert (phantom.executable, phantom.arguments[0]) == ("liver-seg", "phantom")
    assert str(tmp_path) in phantom.arguments
    [source] = phantom.then
    assert (source.executable, source.values) == ("ct_source", {"path": str(tmp_path / "ct.nii.gz")})
    script, option, speed = needle.arguments
    assert Path(script).is_file() and (option, float(speed) > 0) == ("--speed", True)
    (tmp_path / "ct.nii.gz").touch()
    again = evaluate("demo", phantom_dir=str(tmp_path), namespace="left", rviz="false").started
    assert again == [*nodes, source, needle]


def test_a_ct_of_ones_own_is_read_by_the_nodes(evaluate: Evaluate) -> None:
    started = evaluate("demo", path="a.nii.gz", guard="false", rviz="false").started
    assert [(each.executable, each.arguments) for each in started[:-1]] == [
        ("planner", []), ("slice_viewer", []), ("liver_seg", ["a.nii.gz"]),
    ]  # fmt: skip
    assert started[-1].arguments[0].endswith("moving_needle.py")


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """As much of a bag as the launch file reads."""
    topics = [{"topic_metadata": {"name": name}, "message_count": 1} for name in ("/ct", "/tf", "/labels")]
    metadata = {"rosbag2_bagfile_information": {"topics_with_message_count": topics}}
    (tmp_path / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return tmp_path


def test_a_bag_is_played_into_the_nodes_in_its_own_time(evaluate: Evaluate, bag: Path) -> None:
    evaluated = evaluate("bag", bag=str(bag), player="liver-seg", delay_s="3.0")
    assert all(argument.description for argument in evaluated.arguments.values())
    player, node = evaluated.started
    options = [
        "--rate",
        "1.0",
        "--delay",
        "3.0",
        "--clock",
        "--keep",
        "--topics",
        "/ct,/tf",
    ]  # not the labels, which nodes make
    assert (player.executable, player.arguments) == ("liver-seg", ["replay", str(bag), *options])
    assert (node.executable, node.values) == ("liver_seg", {"use_sim_time": True})
    [by_ros2, _] = evaluate("bag", bag=str(bag), player="ros2", use_sim_time="false").started
    options = ["--rate", "1.0", "--delay", "10.0", "--topics", "/ct", "/tf"]
    assert (by_ros2.executable, by_ros2.arguments) == ("ros2", ["bag", "play", str(bag), *options])
    [chosen, _] = evaluate("bag", bag=str(bag)).started
    assert chosen.executable == ("ros2" if shutil.which("ros2") else "liver-seg")


def test_what_is_no_bag_is_refused_before_anything_starts(evaluate: Evaluate, bag: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="is no bag: give the folder that holds metadata"):
        evaluate("bag", bag=str(tmp_path / "none"))
    with pytest.raises(RuntimeError, match="none of topics:=/scan; it has /ct, /labels, /tf"):
        evaluate("bag", bag=str(bag), topics="/scan")
    with pytest.raises(RuntimeError, match='argument "bag"'):
        evaluate("bag")
