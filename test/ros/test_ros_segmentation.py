# SPDX-License-Identifier: Apache-2.0
"""The node `segmentation` as a process: slabs as they come in life, bad volumes, restarts, and the library's labels."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from liver_seg_interfaces.msg import Progress, SegmentationReport
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.reconstruction.measuring.structures import measure
from liver_seg_ros.volume import LabelVolume, Volume


@pytest.fixture(scope="module")
def expected(models, ct):
    return load_default_segmenter(models).segment(ct).labels.array


def slabs(volume, count=8, stamp_s=1):
    return list(volume_to_slabs(volume, count, Time(sec=stamp_s)))


def test_slabs_out_of_order_and_doubled_give_the_labels_of_the_library(ros, models, ct, expected):
    ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    volumes, reports = ros.volumes("labels", np.uint8), ros.latched(SegmentationReport, "/segmentation/report")
    publisher = ros.publisher("ct")
    sent = slabs(ct)
    sent = sent[::-1] + sent[3:5]
    for slab in sent[:4] + sent[2:]:
        publisher.publish(slab)
    ros.spin_until(lambda: volumes and reports)
    assert set(np.unique(expected)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(volumes[0].array, expected)
    assert volumes[0].uid == ct.uid
    assert volumes[0].geometry.is_same_grid(ct.geometry, tolerance_mm=1e-6)
    [report] = reports
    assert report.status == SegmentationReport.STATUS_FOUND
    voxel_m3 = ct.geometry.voxel_volume_mm3 / 1e9
    measured = {entry.structure: entry.volume_m3 for entry in report.structures}
    assert measured["tumor"] == pytest.approx((expected == 2).sum() * voxel_m3, rel=1e-6)
    assert len(report.stages) == len(report.stage_seconds) > 0
    assert report.runtime.startswith(("openvino fp32 (CPU, ", "tensorrt fp32 (GPU "))
    assert [len(model.sha256) for model in report.models] == [64, 64]
    [tumor] = [entry for entry in report.structures if entry.structure == "tumor"]
    assert tumor.count == len(tumor.parts) > 0
    assert sum(part.volume_m3 for part in tumor.parts) == pytest.approx(tumor.volume_m3, rel=1e-6)
    lesions = next(m for m in measure(LabelVolume(expected, ct.geometry, ct.uid)) if m.structure.name == "tumor").parts
    centers_mm = [[1000 * c for c in (part.center.x, part.center.y, part.center.z)] for part in tumor.parts]
    np.testing.assert_allclose(centers_mm, [lesion.center_mm for lesion in lesions], atol=1e-3)


def test_missing_slices_are_named_and_completing_them_later_works(ros, models, ct, expected):
    ros.start("segmentation", models_dir=str(models), slab_timeout_s=0.5)
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    volumes, publisher = ros.volumes("labels", np.uint8), ros.publisher("ct")
    sent = slabs(ct)
    for slab in sent[:2] + sent[3:]:
        publisher.publish(slab)
    ros.wait_for_line("/segmentation 1", "slices 10 to 14 of 40 are missing")
    publisher.publish(sent[2])
    ros.spin_until(lambda: len(volumes) == 1)
    np.testing.assert_array_equal(volumes[0].array, expected)


def test_a_killed_node_that_comes_back_gets_the_latched_ct_and_late_subscribers_get_labels(ros, models, ct, expected):
    publisher = ros.publisher("ct")
    for slab in slabs(ct):
        publisher.publish(slab)
    first = ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 1", "liver found", "; warnings: liver_small")  # it has 0.25 l
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 1", "liver found", "; warnings: liver_small")  # it has 0.25 l
    volumes = ros.volumes("labels", np.uint8)
    ros.spin_until(lambda: len(volumes) == 1)
    np.testing.assert_array_equal(volumes[0].array, expected)


def test_every_bad_volume_is_said_and_the_next_good_one_is_segmented(ros, models, ct, expected):
    ros.start("segmentation", models_dir=str(models), slab_timeout_s=600.0)
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    publisher = ros.publisher("ct")

    def send(volume, change=lambda slab: None, says=""):
        for slab in slabs(volume, count=1):
            change(slab)
            publisher.publish(slab)
        ros.wait_for_line("/segmentation 2", volume.uid, says)

    def as_float(slab):
        voxels = ct.array.astype("<f4")
        voxels[3, 4, 5] = np.nan
        slab.encoding, slab.data = "32FC1", voxels.tobytes()

    def cut(slab):
        slab.data = bytes(slab.data)[:-2]

    def in_mm(slab):
        slab.spacing_m *= 1000

    def no_rotation(slab):
        slab.pose.orientation.w = 7.0

    def other_frame(slab):
        slab.header.frame_id = "base_link"

    def endless(slab):
        slab.size = np.array([60000, 60000, 60000], np.uint32)
        slab.data = bytes(8)

    send(Volume(np.zeros_like(ct.array), ct.geometry, "all-zero"), says="all voxels are 0")
    send(Volume(ct.array[:1], Geometry((60, 52, 1)), "one-slice"), says="one slice")
    send(Volume(ct.array, ct.geometry, "nan"), as_float, "NaN")
    send(Volume(ct.array, ct.geometry, "cut"), cut, "bytes")
    send(Volume(ct.array, ct.geometry, "in-mm"), in_mm, "spacing")
    send(Volume(ct.array, ct.geometry, "no-rotation"), no_rotation, "quaternion")
    send(Volume(ct.array, ct.geometry, "other-frame"), other_frame, "base_link")
    send(Volume(ct.array, ct.geometry, "endless"), endless, "bytes")

    volumes = ros.volumes("labels", np.uint8)
    for slab in slabs(ct):
        publisher.publish(slab)
    ros.spin_until(lambda: len(volumes) == 1)
    np.testing.assert_array_equal(volumes[0].array, expected)


def test_models_that_are_missing_are_said_and_configuring_again_works(ros, models, tmp_path):
    process = ros.start("segmentation", models_dir=str(tmp_path / "nothing"))
    ros.wait_for_line("/segmentation 2", "nothing")
    assert ros.state("segmentation") == "unconfigured"
    assert process.poll() is None
    (tmp_path / "nothing").symlink_to(models)
    assert ros.change_state("segmentation", Transition.TRANSITION_CONFIGURE)
    assert ros.change_state("segmentation", Transition.TRANSITION_ACTIVATE)
    assert ros.state("segmentation") == "active"


def test_whatever_is_wrong_with_the_models_is_said_and_configuring_again_works(ros, models, tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    whole = (models / "segmenter/model.onnx").read_bytes()
    description = (models / "segmenter/model.yaml").read_text()

    def restore():
        (folder / "segmenter/model.onnx").write_bytes(whole)
        (folder / "segmenter/model.yaml").write_text(description)

    def cut(with_checksum):
        (folder / "segmenter/model.onnx").write_bytes(whole[: len(whole) // 2])
        if with_checksum:
            sha256 = [hashlib.sha256(data).hexdigest() for data in (whole, whole[: len(whole) // 2])]
            (folder / "segmenter/model.yaml").write_text(description.replace(*sha256))

    def break_a_field():
        (folder / "segmenter/model.yaml").write_text(description.replace("overlap: 0.25", "overlap: 25"))

    def ask_for(**values):
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        answer = ros.call(SetParameters, "/segmentation/set_parameters", SetParameters.Request(parameters=parameters))
        assert all(result.successful for result in answer.results)

    process = ros.start("segmentation", autostart=False, models_dir=str(folder))
    for spoil, *says in (
        (break_a_field, "segmenter/model.yaml: field 'input.overlap' is 25; it must be a number from 0 to 0.9"),
        (lambda: cut(with_checksum=False), "segmenter/model.onnx is damaged", "fetch or export the model again"),
        (lambda: cut(with_checksum=True), "segmenter/model.onnx is not a model that ONNX Runtime can run"),
        (lambda: ask_for(precision="int8"), "has no int8 weights for it, but fp32"),
    ):
        restore()
        spoil()
        assert not ros.change_state("segmentation", Transition.TRANSITION_CONFIGURE)
        ros.wait_for_line("/segmentation 2", *says)
        assert ros.state("segmentation") == "unconfigured"
    ask_for(precision="auto")
    assert ros.change_state("segmentation", Transition.TRANSITION_CONFIGURE)
    ros.wait_for_line("/segmentation 0", "models loaded, running on", " fp32 (")
    assert process.poll() is None
    assert "Traceback" not in ros.log("segmentation")


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits the node's memory as Linux does")
def test_too_little_memory_is_said_and_the_next_volume_is_segmented(ros, models, tmp_path, ct, expected):
    """A window of 220 voxels along each side, and room for a few of its layers only."""
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    description = folder / "segmenter/model.yaml"
    description.write_text(re.sub(r"patch:(\n  - 32){3}", "patch: [256, 256, 256]", description.read_text()))
    process = ros.start("segmentation", models_dir=str(folder), runtime="openvino")
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    volumes, reports = ros.volumes("labels", np.uint8), ros.latched(SegmentationReport, "/segmentation/report")
    publisher = ros.publisher("ct")
    [worker] = ros.workers(process)
    used = int(Path(f"/proc/{worker}/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.prlimit(worker, resource.RLIMIT_AS, (used + 250_000_000, resource.RLIM_INFINITY))
    array = np.full((110, 110, 110), 60, np.int16)
    array[0] = -100
    large = Volume(array, Geometry((110, 110, 110), (4.0, 4.0, 4.0)), "large")
    for slab in slabs(large, count=1):
        publisher.publish(slab)
    ros.wait_for_line("/segmentation 2", "volume large: too little memory")
    ros.spin_until(lambda: reports)
    assert (
        reports[0].message.startswith("volume large: too little memory")
        and reports[0].status == SegmentationReport.STATUS_FAILED
    )
    resource.prlimit(worker, resource.RLIMIT_AS, limits)
    for slab in slabs(ct):
        publisher.publish(slab)
    ros.spin_until(lambda: len(volumes) == 1)
    np.testing.assert_array_equal(volumes[0].array, expected)
    assert "Traceback" not in ros.log("segmentation")


def test_a_killed_worker_fails_its_volume_and_the_next_is_segmented(ros, models, ct, expected):
    process = ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    reports, progress = (
        ros.latched(SegmentationReport, "/segmentation/report"),
        ros.live(Progress, "/segmentation/progress"),
    )
    publisher = ros.publisher("ct")
    array = np.full((200, 300, 300), -100, np.int16)
    array[10:-10, 10:-10, 10:-10] = 60
    for slab in slabs(Volume(array, Geometry((300, 300, 200), (2.0, 2.0, 2.0)), "large")):
        publisher.publish(slab)
    ros.spin_until(lambda: any(p.stage == "segment" and p.stage_fraction > 0 for p in progress))
    [worker] = ros.workers(process)
    os.kill(worker, signal.SIGKILL)
    ros.spin_until(lambda: bool(reports))
    assert reports[0].volume_uid == "large" and "by SIGKILL" in reports[0].message
    volumes = ros.volumes("labels", np.uint8)
    for slab in slabs(ct):
        publisher.publish(slab)
    ros.spin_until(lambda: len(volumes) == 1)
    np.testing.assert_array_equal(volumes[0].array, expected)
    [worker] = ros.workers(process)
    process.kill()
    process.wait(10)
    ros.spin_while(Path(f"/proc/{worker}").exists, 10.0)
    assert not Path(f"/proc/{worker}").exists()


def test_the_node_answers_while_it_works_and_deactivating_or_a_signal_cancels(ros, models):
    """A liver that fills a large CT keeps the networks busy for seconds; requests in between are answered at once."""
    array = np.full((200, 300, 300), -100, np.int16)
    array[10:-10, 10:-10, 10:-10] = 60
    large = Volume(array, Geometry((300, 300, 200), (2.0, 2.0, 2.0)), "large")
    process = ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    labels, progress = ros.volumes("labels", np.uint8), ros.live(Progress, "/segmentation/progress")
    publisher = ros.publisher("ct")
    for slab in slabs(large):
        publisher.publish(slab)
    ros.spin_until(lambda: any(p.stage == "segment" and p.stage_fraction > 0 for p in progress))
    began = time.monotonic()
    assert ros.change_state("segmentation", Transition.TRANSITION_DEACTIVATE)
    assert time.monotonic() - began < 2.0
    ros.spin_for(0.5)  # what was on its way
    progress.clear()
    ros.spin_for(1.5)
    assert progress == []
    assert labels == []
    assert ros.state("segmentation") == "inactive"

    assert ros.change_state("segmentation", Transition.TRANSITION_ACTIVATE)  # takes in the latched CT again
    ros.spin_until(lambda: any(p.stage == "segment" and p.stage_fraction > 0 for p in progress))
    process.terminate()
    assert process.wait(6.0) == 0
    assert "Traceback" not in ros.log("segmentation")
