# SPDX-License-Identifier: Apache-2.0
"""Reasons to doubt as planners and operators get them from real processes: in reports, on diagnostics, in the log."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pytest
import SimpleITK
from builtin_interfaces.msg import Time

from liver_seg_interfaces.msg import PlausibilityWarning, SegmentationReport
from liver_seg_ros.geometry import Box
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.volume import Volume


@pytest.fixture(scope="module")
def synthetic_models(models, tmp_path_factory):
    """The same models, whose descriptions say that they were trained on synthetic data."""
    folder = tmp_path_factory.mktemp("synthetic") / "models"
    shutil.copytree(models, folder)
    for description in folder.glob("*/model.yaml"):
        text = description.read_text().replace("training_data: unsaid", "training_data: synthetic")
        assert "training_data: synthetic" in text
        description.write_text(text)
    return folder


@pytest.fixture(scope="module")
def cut_ct(ct, tmp_path_factory):
    """The lower part of the CT, in a file of floats one of which is no HU: its reader warns of that."""
    part = Volume(ct.array[:24], ct.geometry.crop(lower(ct)), ct.uid)
    hu = part.array.astype(np.float32)
    hu[0, 0, 0] = 1e6
    image = SimpleITK.GetImageFromArray(hu)
    image.SetSpacing(part.geometry.spacing_mm)
    image.SetOrigin(part.geometry.origin_mm)
    image.SetDirection(part.geometry.direction_matrix.reshape(-1).tolist())
    path = tmp_path_factory.mktemp("cut") / "ct.nrrd"
    SimpleITK.WriteImage(image, str(path))
    return path


def lower(ct):
    """The box of the 24 lowest of its 40 slices."""
    i, j, _ = ct.geometry.size
    return Box((0, 0, 0), (i, j, 24))


def values_of(ros, node):
    """The values of a node's last diagnostics, and its level."""
    status = [status for status in ros.statuses if status.name == node][-1]
    return {value.key: value.value for value in status.values}, ord(status.level)


def test_doubts_and_warnings_of_the_library_reach_reports_diagnostics_and_log(ros, synthetic_models, cut_ct):
    segmented = ros.latched(SegmentationReport, "/segmentation/report")
    reconstructed = ros.latched(SegmentationReport, "/reconstruction/report")
    ros.start("liver_seg", str(cut_ct), models_dir=str(synthetic_models))
    ros.spin_until(lambda: segmented and reconstructed)
    nodes = ("/ct_source", "/segmentation", "/reconstruction")
    ros.spin_until(lambda: all(any(s.name == n and s.level == b"\1" for s in ros.statuses) for n in nodes))
    ros.statuses.clear()
    ros.spin_until(lambda: {status.name for status in ros.statuses} >= set(nodes))

    [report] = segmented
    codes = [warning.code for warning in report.warnings]
    assert codes == [
        "liver_cut_by_edge",
        "liver_small",
        "lesion_cut_by_edge",
        "whole_ct_searched",
        "synthetic_training",
    ]
    cut, _, lesion, _, learned = report.warnings
    assert (cut.level, cut.structure, list(cut.lesions)) == (PlausibilityWarning.LEVEL_DOUBT, "liver", [])
    assert "towards: head (" in cut.text and list(lesion.lesions) == [1]
    assert learned.level == PlausibilityWarning.LEVEL_NOTE
    assert "test-localize, test-segment" in learned.text
    # Labels alone: nothing of models there.
    assert [warning.code for warning in reconstructed[0].warnings] == codes[:3]

    values, level = values_of(ros, "/segmentation")
    assert (level, values["warnings"], values["library_warnings"]) == (1, ", ".join(codes), "")
    assert values["warning liver_cut_by_edge"] == cut.text
    values, level = values_of(ros, "/reconstruction")
    assert (level, values["warnings"]) == (1, ", ".join(codes[:3]))

    values, level = values_of(ros, "/ct_source")
    assert level == 1 and values["warnings"] == "" and str(cut_ct) in values["library_warnings"]
    said = [line for line in ros.log("liver_seg").splitlines() if values["library_warnings"] in line]
    assert len(said) == 1 and "[WARN]" in said[0] and "[ct_source]" in said[0]


def test_the_next_volume_is_not_doubted_for_the_one_before(ros, models, ct):
    """A good CT after a cut one: nothing of the first stays."""
    publisher = ros.publisher("ct")
    reports = ros.latched(SegmentationReport, "/segmentation/report")
    ros.start("segmentation", models_dir=str(models))
    cut = Volume(ct.array[:24], ct.geometry.crop(lower(ct)), "cut")
    for number, volume in enumerate((cut, ct)):
        for slab in volume_to_slabs(volume, 4, Time(sec=number + 1)):
            publisher.publish(slab)
        ros.spin_until(lambda uid=volume.uid: any(report.volume_uid == uid for report in reports))
        ros.statuses.clear()

        def concluded(uid=volume.uid):
            said = [{v.key: v.value for v in s.values} for s in ros.statuses if s.name == "/segmentation"]
            return bool(said) and said[-1]["outcome_volume"] == uid and bool(said[-1]["warnings"])

        ros.spin_until(concluded)
    values, level = values_of(ros, "/segmentation")
    assert level == 1
    assert values["warnings"] == "liver_small, whole_ct_searched" and "warning liver_cut_by_edge" not in values


def test_the_next_volume_is_warned_of_though_python_has_said_it_before(ros):
    """Python's `warnings` shows a warning once for each line of code; the second CT may have the same fault."""
    node = StageNode("reader", context=ros.context)

    def read(volume):
        node.diagnostics.begin(f"reading {volume}")
        for _ in range(3):
            warnings.warn("a tag is odd", UserWarning, stacklevel=1)
        node.diagnostics.conclude(f"read {volume}")

    try:
        for volume in ("one", "two"):
            node.worker.submit(lambda _, volume=volume: read(volume))
            assert node.worker.wait_until_idle(30)
        ros.spin_until(lambda: any("read two" in line for line in ros.lines()))
        said = [line.partition(" 1 ")[2] for line in ros.lines() if line.startswith("/reader 1")]
        doubted = "; warnings: see library_warnings"
        assert said == ["a tag is odd", f"read one{doubted}", "a tag is odd", f"read two{doubted}"]
    finally:
        node.worker.stop(30)
        node.destroy_node()


def test_a_warning_is_logged_once_for_each_volume(ros, capfd):
    node = StageNode("reader", context=ros.context)
    try:
        for volume in ("one", "two"):
            node.diagnostics.begin(f"reading {volume}")
            for _ in range(3):
                node.say_library_warning("a mesh is open", own=True)
    finally:
        node.worker.stop(30)
        node.destroy_node()
    assert capfd.readouterr().err.count("a mesh is open") == 2
