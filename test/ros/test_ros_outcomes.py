# SPDX-License-Identifier: Apache-2.0
"""Whoever waits for a volume's report gets an end: found, nothing found, failed and cancelled are told apart."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition

from liver_seg_interfaces.msg import Progress, SegmentationReport
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.volume import Volume


@pytest.fixture(scope="module")
def large():
    """A liver that fills a large CT: seconds of work."""
    array = np.full((200, 300, 300), -100, np.int16)
    array[10:-10, 10:-10, 10:-10] = 60
    return Volume(array, Geometry((300, 300, 200), (2.0, 2.0, 2.0)), "large")


def send(publisher, volume, uid=None, stamp_s=1, count=4):
    for slab in volume_to_slabs(volume, count, Time(sec=stamp_s)):
        slab.volume_uid = uid or volume.uid
        publisher.publish(slab)


def wait_for_outcome(ros, node, outcome, volume_uid):
    """Until the node's diagnostics say this: what they said before may still lie in the observer's queue."""
    ros.statuses.clear()

    def said():
        values = [{v.key: v.value for v in status.values} for status in ros.statuses if status.name == node]
        return any((v["outcome"], v["outcome_volume"]) == (outcome, volume_uid) for v in values)

    ros.spin_until(said)


def test_every_volume_gets_a_report_that_says_how_it_ended(ros, models, ct, large):
    ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    reports = ros.latched(SegmentationReport, "/segmentation/report")
    progress = ros.live(Progress, "/segmentation/progress")
    publisher = ros.publisher("ct")

    def outcome(what, volume_uid):
        wait_for_outcome(ros, "/segmentation", what, volume_uid)

    def next_report():
        ros.spin_until(lambda: bool(reports))
        return reports.pop(0)

    send(publisher, large)
    ros.spin_until(lambda: any(p.stage == "segment" and p.stage_fraction > 0 for p in progress))
    send(publisher, ct)
    cancelled = next_report()
    assert (cancelled.volume_uid, cancelled.status) == ("large", SegmentationReport.STATUS_CANCELLED)
    assert cancelled.message == "cancelled: volume large: replaced by volume test-ct" and not cancelled.structures
    found = next_report()
    assert (found.volume_uid, found.status) == (ct.uid, SegmentationReport.STATUS_FOUND)
    outcome("found", ct.uid)

    empty = np.random.default_rng(0).integers(-90, -50, ct.array.shape).astype(np.int16)
    send(publisher, Volume(empty, ct.geometry, "no-liver"))
    nothing = next_report()
    assert (nothing.volume_uid, nothing.status) == ("no-liver", SegmentationReport.STATUS_NOTHING_FOUND)
    assert nothing.structures
    outcome("nothing_found", "no-liver")

    send(publisher, Volume(np.zeros_like(ct.array), ct.geometry, "all-zero"))
    failed = next_report()
    assert failed.status == SegmentationReport.STATUS_FAILED
    assert "all voxels are 0" in failed.message and not failed.structures
    outcome("failed", "all-zero")

    progress.clear()
    send(publisher, large, stamp_s=2)
    ros.spin_until(lambda: any(p.stage == "segment" and p.stage_fraction > 0 for p in progress))
    assert ros.change_state("segmentation", Transition.TRANSITION_DEACTIVATE)
    assert next_report().message == "cancelled: volume large: the node was deactivated"
    outcome("cancelled", "large")
    ros.spin_for(2.0)
    assert reports == []


def test_a_volume_that_is_refused_or_dropped_gets_one_report(ros, models, ct):
    ros.start("segmentation", models_dir=str(models), max_volume_mb=1)
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    reports, publisher = ros.latched(SegmentationReport, "/segmentation/report"), ros.publisher("ct")
    wide = Volume(np.zeros((4, 512, 512), np.int16), Geometry((512, 512, 4)), "too-large")
    send(publisher, wide)
    ros.spin_until(lambda: bool(reports))
    assert [report.volume_uid for report in reports] == ["too-large"] and "raise max_volume_mb" in reports[0].message
    for number in range(5):  # 0.25 MB each
        [first, *_] = volume_to_slabs(ct, 4, Time(sec=1))
        first.volume_uid = f"unfinished-{number}"
        publisher.publish(first)
    ros.spin_until(lambda: len(reports) == 2)
    assert reports[1].volume_uid == "unfinished-0" and "to make room for unfinished-4" in reports[1].message
    ros.spin_for(1.0)
    assert len(reports) == 2


def test_an_incomplete_volume_gets_its_report_at_the_deadline_or_when_the_node_is_deactivated(ros, models, ct):
    ros.start("segmentation", models_dir=str(models), slab_timeout_s=0.2, give_up_after_s=1.0)
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    reports, publisher = ros.latched(SegmentationReport, "/segmentation/report"), ros.publisher("ct")
    first, second, _, fourth = volume_to_slabs(ct, 4, Time(sec=1))
    for slab in (first, fourth):
        publisher.publish(slab)
    ros.spin_until(lambda: bool(reports))
    assert (reports[0].volume_uid, reports[0].status) == (ct.uid, SegmentationReport.STATUS_FAILED)
    assert "nothing new came for 1 s: slices 10 to 29 of 40 are missing" in reports[0].message
    wait_for_outcome(ros, "/segmentation", "failed", ct.uid)
    publisher.publish(second)
    ros.wait_for_line("was given up before slice 10 came")
    send(publisher, ct)  # the same stamp: whole again, so it counts
    ros.spin_until(lambda: len(reports) == 2)
    assert reports[1].status == SegmentationReport.STATUS_FOUND
    first.volume_uid = "unfinished"
    publisher.publish(first)
    ros.wait_for_line("volume unfinished is incomplete")
    assert ros.change_state("segmentation", Transition.TRANSITION_DEACTIVATE)
    wait_for_outcome(ros, "/segmentation", "cancelled", "unfinished")
    assert reports[-1].message.startswith("cancelled: volume unfinished")
