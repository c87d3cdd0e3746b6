# SPDX-License-Identifier: Apache-2.0
"""Parts of the graph that fail leave it usable. All faults, many times each: benchmarks/faults.py."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Empty

from liver_seg_interfaces.msg import SegmentationReport
from liver_seg_ros.errors import CancelledError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.nodes.needle_guard import NeedleGuard
from liver_seg_ros.nodes.planner import PlannerNode
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.volume import Volume

FOUND, CANCELLED = SegmentationReport.STATUS_FOUND, SegmentationReport.STATUS_CANCELLED
#: What messages that are none may add to a node.
MOST_GROWN_MB = 100


def slabs(ct: Volume, uid: str, geometry: Geometry | None = None) -> list:
    return list(volume_to_slabs(Volume(ct.array, geometry or ct.geometry, uid), 8, Time(sec=1)))


def resident_mb(process) -> float:
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def test_one_node_goes_on_through_spoiled_messages_two_sources_and_a_full_disk(ros, models, ct):
    # What the node says meets a full device, too.
    ros.log_of_next("segmentation").symlink_to("/dev/full")
    process = ros.start("segmentation", models_dir=str(models), max_volume_mb=8)
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    reports, volumes = ros.latched(SegmentationReport, "/segmentation/report"), ros.volumes("labels", np.uint8)
    left, right = ros.publisher("ct"), ros.publisher("ct")

    def done(uid: str) -> SegmentationReport:
        ros.spin_until(lambda: any(report.volume_uid == uid for report in reports))
        return next(report for report in reports if report.volume_uid == uid)

    for slab in slabs(ct, "first"):
        left.publish(slab)
    assert done("first").status == FOUND
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))

    before_mb, rng = resident_mb(process), np.random.default_rng(0)
    for number in range(200):
        [slab, *_] = slabs(ct, f"spoiled-{number}")
        slab.size = rng.choice([1, 60, 65536, 2**31], 3).astype(np.uint32)
        slab.spacing_m = rng.choice([np.nan, 0.0, 1e308, 0.002], 3)
        slab.first_slice = int(rng.choice([0, 2**32 - 1]))
        slab.data = rng.bytes(5000)
        left.publish(slab)
        ros.spin_for(0.002)

    for one, other in zip(slabs(ct, "left"), slabs(ct, "right"), strict=True):
        left.publish(one)
        right.publish(other)
    ended = [done(uid) for uid in ("left", "right")]
    said = [report.message for report in ended]
    assert sorted(report.status for report in ended) in ([FOUND, CANCELLED], [FOUND, FOUND]), said

    mixed = slabs(ct, "mixed")
    mixed[4:4] = slabs(ct, "mixed", Geometry(ct.geometry.size, (1.0, 1.0, 1.0)))[2:4]
    for slab in mixed:
        left.publish(slab)
    assert done("mixed").status == FOUND
    ros.spin_until(lambda: any(volume.uid == "mixed" for volume in volumes))
    labels = next(volume.array for volume in volumes if volume.uid == "mixed")
    np.testing.assert_array_equal(labels, load_default_segmenter(models).segment(ct).labels.array)
    assert resident_mb(process) - before_mb < MOST_GROWN_MB
    process.terminate()
    assert process.wait(10) == 0


def test_what_a_callback_raises_is_said_and_the_node_goes_on(ros):
    node = StageNode("careless", context=ros.context)
    heard: list[Empty] = []

    def careless(message: Empty) -> None:
        heard.append(message)
        raise ZeroDivisionError("careless")

    executor = SingleThreadedExecutor(context=ros.context)
    try:
        node.create_subscription(Empty, "to_careless", careless, 10)
        node.create_timer(0.01, lambda: careless(Empty()))
        publisher = ros.node.create_publisher(Empty, "to_careless", 10)
        executor.add_node(node)
        for _ in range(2000):
            publisher.publish(Empty())
            executor.spin_once(0.05)
            if len(heard) >= 20:
                break
        assert len(heard) >= 20
        ros.wait_for_line("/careless 2", "ZeroDivisionError: careless")
    finally:
        executor.shutdown()
        assert node.worker.stop(5.0)
        node.destroy_node()


def test_what_was_prepared_for_an_earlier_patient_does_not_come_back(ros):
    """A job that ends when newer surfaces or labels have come already."""
    node = NeedleGuard(context=ros.context)
    try:
        with pytest.raises(CancelledError):
            node._have_anatomy(object(), "", lambda: True)
        assert node._anatomy is None
        newer = object()
        node._have_anatomy(newer, "", lambda: False)
        assert node._anatomy is newer
    finally:
        assert node.worker.stop(5.0)
        node.destroy_node()


def test_questions_are_not_about_an_earlier_patient(ros):
    """The planner's worker has prepared labels when newer ones have come already."""
    node = PlannerNode(context=ros.context)
    try:
        with pytest.raises(CancelledError):
            node._now_ready("earlier", "", lambda: True)
        assert node._ready == ""
        node._now_ready("newer", "", lambda: False)
        assert node._ready == "newer"
    finally:
        assert node.worker.stop(5.0)
        node.destroy_node()
