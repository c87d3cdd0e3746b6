# SPDX-License-Identifier: Apache-2.0
"""The messages as built: what the nodes rely on, through the real serialization."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.labels import STRUCTURES

INTERFACES = Path(__file__).resolve().parents[2] / "liver_seg_interfaces"
WHY = "needs ROS 2 and the built messages: make setup"

# Of tf2_msgs/msg/TFMessage in every ROS 2 since Iron, as `ros2 topic info -v /tf` shows it.
TF_MESSAGE_HASH = "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"


def test_every_interface_file_is_built() -> None:
    listed = re.findall(r"^  (\w+/\w+\.(?:msg|srv|action))$", (INTERFACES / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(INTERFACES)) for path in INTERFACES.glob("*/*"))


def test_the_comment_of_the_labels_lists_the_label_table() -> None:
    text = (INTERFACES / "msg/Volume.msg").read_text(encoding="utf-8")
    for structure in STRUCTURES:
        assert f"{structure.value} {structure.name}" in text


def test_built_interfaces_have_the_fields_of_the_sources() -> None:
    for kind, parts in (("msg", [""]), ("srv", ["Request", "Response"]), ("action", ["Goal", "Result", "Feedback"])):
        built = pytest.importorskip(f"liver_seg_interfaces.{kind}", reason=WHY)
        for path in (INTERFACES / kind).iterdir():
            sources = path.read_text(encoding="utf-8").split("\n---\n")
            for part, source in zip(parts, sources, strict=True):
                made = getattr(built, path.stem)
                message = getattr(made, part) if part else made
                fields = [name for name in message.get_fields_and_field_types() if not name.startswith("_")]
                assert fields == _fields(source), f"{path.name} changed since it was built: make setup"


def _fields(source: str) -> list[str]:
    lines = [line.split() for line in source.splitlines() if line and line[0] != "#"]
    return [words[1] for words in lines if "=" not in words[1]]


def test_a_slab_survives_serialization() -> None:
    serialization = pytest.importorskip("rclpy.serialization", reason=WHY)
    msg = pytest.importorskip("liver_seg_interfaces.msg", reason=WHY)
    voxels = np.arange(-12, 12, dtype="<i2").reshape(2, 3, 4)  # [k, j, i]
    sent = msg.Volume(volume_uid="1.2.3", encoding=msg.Volume.ENCODING_HU, compression=msg.Volume.COMPRESSION_NONE)
    sent.size, sent.spacing_m, sent.first_slice, sent.slice_count = [4, 3, 9], [0.0007, 0.0007, 0.005], 7, 2
    sent.data.frombytes(voxels.tobytes())

    received = serialization.deserialize_message(serialization.serialize_message(sent), msg.Volume)

    assert received == sent
    assert (received.encoding, received.compression) == ("16SC1", "none")
    np.testing.assert_array_equal(np.frombuffer(received.data, "<i2").reshape(2, 3, 4), voxels)


#: Of moveit_msgs 2.6.0 and octomap_msgs 2.0.0, computed from the repositories' own files by another program.
SCENE_HASHES = {
    "moveit_msgs/msg/PlanningScene": "RIHS01_0f58540ad5eab4b9ea827d53b763c793d8cabd202b3b301fcee25afa4ce1bd80",
    "octomap_msgs/msg/Octomap": "RIHS01_9891a19a05b70ec20aa8f45db3f8300b9ab80afff32c61c549d25087da9625b0",
}


def test_planning_scenes_and_octomaps_are_those_of_moveit() -> None:
    """Of another hash, MoveIt would not hear them. The hash of a message holds those of all in it."""
    ament = pytest.importorskip("ament_index_python", reason=WHY)
    for name, expected in SCENE_HASHES.items():
        package, _, kind = name.partition("/msg/")
        try:
            description = Path(ament.get_package_share_directory(package)) / "msg" / f"{kind}.json"
        except ament.PackageNotFoundError:
            pytest.skip(f"{package} is not on AMENT_PREFIX_PATH: run the tests with make test, or source ROS 2")
        if not description.is_file():
            pytest.skip("this ROS 2 has no type hashes (before Iron)")
        entries = json.loads(description.read_text())["type_hashes"]
        assert {entry["type_name"]: entry["hash_string"] for entry in entries}[name] == expected


def test_tf_message_is_that_of_ros_2() -> None:
    """A TFMessage of another hash would never reach a listener of the robot's."""
    ament = pytest.importorskip("ament_index_python", reason=WHY)
    try:
        share = Path(ament.get_package_share_directory("tf2_msgs"))
    except ament.PackageNotFoundError:
        pytest.skip("tf2_msgs is not on AMENT_PREFIX_PATH: run the tests with make test, or source ROS 2")
    description = share / "msg/TFMessage.json"
    if not description.is_file():
        pytest.skip("this ROS 2 has no type hashes (before Iron)")
    hashes = {entry["type_name"]: entry["hash_string"] for entry in json.loads(description.read_text())["type_hashes"]}
    assert hashes["tf2_msgs/msg/TFMessage"] == TF_MESSAGE_HASH
