# SPDX-License-Identifier: Apache-2.0
"""Frames: each namespace has its own, a name can be given, and all that a node publishes is in it."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from liver_seg_interfaces.msg import SegmentationReport, StructureMeshArray, VesselTree
from liver_seg_interfaces.msg import Volume as VolumeMessage
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.volume import LabelVolume

TOPICS = {
    "meshes": StructureMeshArray,
    "collision_meshes": StructureMeshArray,
    "markers": MarkerArray,
    "cloud": PointCloud2,
    "vessel_tree": VesselTree,
    "vessel_tree_markers": MarkerArray,
    "reconstruction/report": SegmentationReport,
}


@pytest.fixture(scope="module")
def labels(ct):
    values = np.select([ct.array == 60, ct.array == 140, ct.array == 220], [1, 2, 3]).astype(np.uint8)
    return LabelVolume(values, ct.geometry, ct.uid)


def in_namespace(name):
    return ("--ros-args", "-r", f"__ns:={name}", "--")


def send(publisher, labels, frame_id):
    for slab in volume_to_slabs(labels, 1, Time(sec=1)):
        slab.header.frame_id = frame_id
        publisher.publish(slab)


def frames_in(message):
    parts = (message, *getattr(message, "markers", ()), *getattr(message, "meshes", ()))
    return {part.header.frame_id for part in parts if hasattr(part, "header")}


def test_two_instances_have_frames_of_their_own(ros, labels):
    for name in ("/left", "/right/arm"):
        ros.start("reconstruction", *in_namespace(name), parent_frame="map")
    transforms = ros.latched(TFMessage, "/tf_static")
    ros.spin_until(lambda: len(transforms) == 2)
    children = {t.child_frame_id for message in transforms for t in message.transforms}
    assert children == {"left/ct_lps", "right/arm/ct_lps"}

    heard = {topic: ros.latched(kind, f"/left/{topic}") for topic, kind in TOPICS.items()}
    send(ros.publisher("/left/labels"), labels, "left/ct_lps")
    ros.spin_until(lambda: all(heard.values()))
    assert {frame for messages in heard.values() for frame in frames_in(messages[0])} == {"left/ct_lps"}


def test_a_frame_can_be_named_and_others_are_refused(ros, labels):
    ros.start("reconstruction", ct_frame_id="scan", parent_frame="")
    ros.wait_for_line("/reconstruction 0", "waiting for labels")
    publisher, meshes = ros.publisher("labels"), ros.latched(StructureMeshArray, "meshes")
    send(publisher, labels, "left/ct_lps")
    ros.wait_for_line("/reconstruction 2", "its frame is 'left/ct_lps'; send it in 'scan'")
    send(publisher, labels, "ct_lps")  # what a scanner calls it that knows of no other name
    ros.spin_until(lambda: bool(meshes))
    assert frames_in(meshes[0]) == {"scan"}


def test_the_labels_of_a_namespace_are_in_its_frame(ros, models, ct):
    ros.start("segmentation", *in_namespace("/left"), models_dir=str(models))
    publisher, labels = ros.publisher("/left/ct"), ros.latched(VolumeMessage, "/left/labels")
    for slab in volume_to_slabs(ct, 2, Time(sec=1)):
        publisher.publish(slab)
    ros.spin_until(lambda: bool(labels))
    assert labels[0].header.frame_id == "left/ct_lps"


def test_a_name_that_is_none_is_said(ros):
    ros.start("reconstruction", ct_frame_id="the ct")
    ros.wait_for_line("/reconstruction 2", "parameter ct_frame_id is 'the ct'; a frame has letters")
    assert ros.state("reconstruction") == "unconfigured"
