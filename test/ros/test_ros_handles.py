# SPDX-License-Identifier: Apache-2.0
"""Volumes by shared memory between real processes: taken where it is what it says, and by slabs where it is not."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from liver_seg_interfaces.msg import VolumeHandle
from liver_seg_ros.files.volumes import write_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.nodes import qos
from liver_seg_ros.nodes.messages.handles import volume_to_handle
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.nodes.shared_memory import Segment
from liver_seg_ros.nodes.volume_output import NOWHERE
from liver_seg_ros.offload.sealed_memory import NAME
from liver_seg_ros.volume import Volume


@pytest.fixture(scope="module")
def expected(models, ct):
    return load_default_segmenter(models).segment(ct).labels.array


def offered_by(process):
    """Inodes of the sealed files that a process has open."""
    files = Path(f"/proc/{process.pid}/fd").iterdir()
    return {file.stat().st_ino for file in files if f"memfd:{NAME}" in str(file.readlink())}


def mapped_by(process):
    """Inodes of those that it has in its memory."""
    lines = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
    return {int(line.split()[4]) for line in lines if f"memfd:{NAME}" in line}


def test_a_handle_alone_is_enough_and_whatever_is_wrong_with_one_the_slabs_come(ros, models, ct, expected):
    ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    labels, slabs = ros.volumes("labels", np.uint8), ros.publisher("ct")
    handles = ros.node.create_publisher(VolumeHandle, "ct/handle", qos.latched(1))
    ros.spin_until(lambda: handles.get_subscription_count() and slabs.get_subscription_count())
    segment = Segment(ct.array)
    place = segment.place

    def send(volume, place, with_slabs):
        handles.publish(volume_to_handle(volume, place, Time(sec=1)))
        for slab in volume_to_slabs(volume, 4, Time(sec=1)) if with_slabs else ():
            slabs.publish(slab)
        ros.spin_until(lambda: labels and labels[-1].uid == volume.uid)
        np.testing.assert_array_equal(labels[-1].array, expected)

    send(replace(ct, uid="by-handle"), place, with_slabs=False)
    ros.spin_until(lambda: slabs.get_subscription_count() == 0)
    for uid, change, says in (
        ("forged", {"segment": "/proc/1/fd/../../../etc/passwd"}, "is no path of a segment"),
        ("another-size", {"segment_bytes": place.segment_bytes + 1}, "bytes, not"),
        ("too-little", {"data_offset_bytes": place.segment_bytes - 2}, "do not lie behind"),
        ("gone", {"segment": "/proc/4294967/fd/9"}, None),
        ("another-volume", {"generation": place.generation ^ 1}, None),
        ("another-host", {"boot_id": "x"}, None),
        ("no-room", vars(NOWHERE), None),
    ):
        send(replace(ct, uid=uid), replace(place, **change), with_slabs=True)
        assert says is None or any(f"volume {uid}: " in line and says in line for line in ros.lines())
    assert not any("came again" in line for line in ros.lines())
    send(replace(ct, uid="by-handle-again"), place, with_slabs=True)
    segment.release()


def own_memory_mb(process):
    """What a process has for itself alone."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon:"))


def test_the_memory_of_slabs_that_came_before_the_handle_is_given_back(ros, models):
    segmentation = ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    slabs = ros.publisher("ct")
    handles = ros.node.create_publisher(VolumeHandle, "ct/handle", qos.latched(1))
    ros.spin_until(lambda: handles.get_subscription_count() and slabs.get_subscription_count())
    values = np.full((160, 320, 320), -1000, np.int16)  # 33 MB
    values[40:120, 80:240, 80:240] = 40
    large = Volume(values, Geometry((320, 320, 160), (0.6, 0.6, 1.0)), "large")
    *most, _ = volume_to_slabs(large, 32, Time(sec=1))
    before_mb = own_memory_mb(segmentation)
    for slab in most:
        slabs.publish(slab)
    ros.spin_until(lambda: own_memory_mb(segmentation) - before_mb > 30)
    segment = Segment(large.array)
    handles.publish(volume_to_handle(large, segment.place, Time(sec=1)))
    ros.spin_until(lambda: slabs.get_subscription_count() == 0)
    ros.spin_until(lambda: own_memory_mb(segmentation) - before_mb < 20)
    segment.release()


def test_source_and_segmentation_have_the_same_memory_of_which_nothing_stays(ros, models, ct, expected, tmp_path):
    write_volume(tmp_path / "ct.nrrd", ct)
    segmentation = ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    labels = ros.volumes("labels", np.uint8)
    source = ros.start("ct_source", path=str(tmp_path / "ct.nrrd"))
    ros.spin_until(lambda: len(labels) == 1)
    ros.spin_until(lambda: ros.node.count_subscribers("ct") == 0)
    foreign = ros.volumes("ct", np.int16)
    ros.spin_until(lambda: len(foreign) == 1)
    np.testing.assert_array_equal(foreign[0].array, ct.array)

    # The segmentation has no copy: what it has in its memory is the file that the source offers.
    [shared] = offered_by(source) & mapped_by(segmentation)

    source.send_signal(signal.SIGKILL)
    source.wait(10)
    source = ros.start("ct_source", path=str(tmp_path / "ct.nrrd"))
    ros.spin_until(lambda: len(labels) == 2)
    np.testing.assert_array_equal(labels[1].array, expected)
    [newer] = offered_by(source) & mapped_by(segmentation)
    assert newer != shared and shared not in mapped_by(segmentation)
    source.terminate()
    assert source.wait(10) == 0
    assert "Traceback" not in ros.log("segmentation") + ros.log("ct_source")
