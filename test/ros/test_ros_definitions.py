# SPDX-License-Identifier: Apache-2.0
"""Definitions for bags: the same hash as ROS 2 computed when it built the message, of every message that we publish."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_directory

from liver_seg_ros.errors import InputError

pytest.importorskip("rosbags", reason="rosbags is not installed (make setup installs it)")
from liver_seg_ros.nodes.bags.definitions import Definitions  # after the skip

PACKAGES = ("liver_seg_interfaces", "std_msgs", "sensor_msgs", "visualization_msgs", "diagnostic_msgs", "tf2_msgs")


def test_the_hash_of_a_definition_is_that_of_the_built_message():
    if not (Path(get_package_share_directory("std_msgs")) / "msg" / "String.json").is_file():
        pytest.skip("this ROS 2 has no type hashes (before Iron)")
    definitions, checked = Definitions(), dict.fromkeys(PACKAGES, 0)
    for folder in (Path(get_package_share_directory(package)) / "msg" for package in PACKAGES):
        for description in sorted(folder.glob("*.json")):
            entries = json.loads(description.read_text())["type_hashes"]
            hashes = {entry["type_name"]: entry["hash_string"] for entry in entries}
            name = f"{folder.parent.name}/msg/{description.stem}"
            assert definitions.type_hash(name) == hashes[name]
            assert definitions.computed_hash(name) == hashes[name] or name == "std_msgs/msg/Char", name
            text = definitions.text(name)
            assert all(f"MSG: {other.replace('/msg/', '/')}\n" in text for other in hashes if other != name), name
            checked[folder.parent.name] += 1
    assert all(checked.values()) and sum(checked.values()) > 50


def test_a_message_that_is_not_installed_is_refused():
    for name in ("no_such_msgs/msg/Thing", "std_msgs/msg/NoSuch", "nonsense"):
        with pytest.raises(InputError, match=f"definition of {name} is not installed"):
            Definitions().text(name)
