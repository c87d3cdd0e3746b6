# SPDX-License-Identifier: Apache-2.0
"""`liver-seg record` and `liver-seg replay` over DDS: the same voxels, latched as before, whole bags or none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from builtin_interfaces.msg import Time
from rclpy.qos import DurabilityPolicy
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.volume import LabelVolume

pytest.importorskip("rosbags", reason="rosbags is not installed (make setup installs it)")
from rosbags.rosbag2 import Reader  # after the skip

ROOT = Path(__file__).resolve().parents[2]
SLABS = 7


@pytest.fixture
def cli(ros):
    """Starts `liver-seg` on the test's domain; what still runs at the end is ended."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "liver_seg_ros", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "ROS_DOMAIN_ID": str(ros.domain)},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=60)


def send(publisher, volume, compression="none"):
    for slab in volume_to_slabs(volume, SLABS, Time(sec=1), compression):
        publisher.publish(slab)


def test_what_was_recorded_arrives_voxel_for_voxel_and_latched(ros, cli, ct, tmp_path):
    labels = LabelVolume((ct.array > 0).astype(np.uint8), ct.geometry, ct.uid)
    cts, found = ros.publisher("ct", SLABS), ros.publisher("labels", SLABS)
    send(cts, ct)  # before the recorder is there
    bag = tmp_path / "bag"
    recorder = cli("record", "-o", bag, "--topics", "ct,/labels,note")
    ros.spin_until(lambda: cts.get_subscription_count() == found.get_subscription_count() == 1)
    send(found, labels, "zlib")
    note = ros.node.create_publisher(String, "note", 10)
    ros.spin_until(lambda: note.get_subscription_count() == 1)
    note.publish(String(data="incision"))
    assert all(publisher.wait_for_all_acked() for publisher in (cts, found, note))
    [unfinished] = tmp_path.iterdir()
    assert unfinished != bag
    recorder.send_signal(signal.SIGINT)
    _, said = recorder.communicate(timeout=60)
    assert recorder.returncode == 0, said
    assert list(tmp_path.iterdir()) == [bag]
    check_metadata(bag)
    with Reader(bag) as reader:
        span_ns = reader.start_time, reader.end_time

    for publisher in (cts, found, note):
        ros.node.destroy_publisher(publisher)
    notes, clocks = ros.live(String, "note"), ros.live(Clock, "/clock")
    ros.spin_until(lambda: ros.node.count_publishers("/ct") == ros.node.count_publishers("/labels") == 0)
    player = cli("replay", bag, "--rate", 20, "--clock", "--loop")
    ros.spin_until(lambda: bool(notes and clocks))  # neither is latched: what came before we were known is lost
    assert {message.data for message in notes} == {"incision"}
    late_cts, late_labels = ros.volumes("ct", np.int16), ros.volumes("labels", np.uint8)
    ros.spin_until(lambda: bool(late_cts and late_labels))
    np.testing.assert_array_equal(late_cts[0].array, ct.array)
    np.testing.assert_array_equal(late_labels[0].array, labels.array)
    assert late_labels[0].uid == ct.uid and late_labels[0].geometry.is_same_grid(ct.geometry, tolerance_mm=1e-6)
    [info] = ros.node.get_publishers_info_by_topic("/labels")
    assert info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    began_s, ended_s = (int(1e-9 * time_ns) for time_ns in span_ns)
    assert all(began_s <= clock.clock.sec <= ended_s for clock in clocks)
    player.send_signal(signal.SIGTERM)
    assert player.wait(60) == 0


def check_metadata(bag):
    """As rosbag2 writes it, with the hash of each type that DDS itself tells."""
    information = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["storage_identifier"] == "mcap"
    topics = {
        topic["topic_metadata"]["name"]: (topic["message_count"], topic["topic_metadata"])
        for topic in information["topics_with_message_count"]
    }
    assert {name: count for name, (count, _) in topics.items()} == {"/ct": SLABS, "/labels": SLABS, "/note": 1}
    [offered] = yaml.safe_load(topics["/labels"][1]["offered_qos_profiles"])
    assert offered["durability"] == 1 and offered["reliability"] == 1 and offered["depth"] >= SLABS  # transient local
    [offered] = yaml.safe_load(topics["/note"][1]["offered_qos_profiles"])
    assert offered["durability"] == 2
    description = Path(get_package_share_directory("liver_seg_interfaces")) / "msg" / "Volume.json"
    hashes = {entry["type_name"]: entry["hash_string"] for entry in json.loads(description.read_text())["type_hashes"]}
    assert topics["/ct"][1]["type_description_hash"] == hashes["liver_seg_interfaces/msg/Volume"]
    with Reader(bag) as reader:
        definition = next(c.msgdef.data for c in reader.connections if c.topic == "/ct")
    assert "MSG: geometry_msgs/Pose" in definition and "string ENCODING_LABELS=8UC1" in definition


def test_a_bag_that_was_cut_off_is_one_line(tmp_path, cli):
    bag = tmp_path / "bag"
    bag.mkdir()
    (bag / "metadata.yaml").write_text(METADATA)
    (bag / "bag.mcap").write_bytes(b"\x89MCAP0\r\n" + bytes(100))
    player = cli("replay", bag)
    _, said = player.communicate(timeout=100)
    assert player.returncode == 2
    assert said.startswith("liver-seg: ") and said.count("\n") == 1 and "cut off" in said


METADATA = """rosbag2_bagfile_information:
  version: 8
  storage_identifier: mcap
  relative_file_paths: [bag.mcap]
  duration: {nanoseconds: 1}
  starting_time: {nanoseconds_since_epoch: 1}
  message_count: 1
  topics_with_message_count: []
  compression_format: ""
  compression_mode: ""
  files: []
  custom_data: null
  ros_distro: jazzy
"""
