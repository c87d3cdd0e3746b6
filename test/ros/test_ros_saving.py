# SPDX-License-Identifier: Apache-2.0
"""The services `save_results` over real DDS: all files or none, and one line of what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from liver_seg_interfaces.msg import RequestStatus, SegmentationReport, StructureMeshArray
from liver_seg_interfaces.srv import SaveResults
from liver_seg_ros.files.surfaces import read_surface
from liver_seg_ros.files.volumes import read_labels, write_volume
from liver_seg_ros.inference.segmenter import load_default_segmenter


def save(ros: Any, node: str, folder: object, overwrite: bool = False) -> Any:
    return ros.call(SaveResults, f"/{node}/save_results", SaveResults.Request(folder=str(folder), overwrite=overwrite))


def test_results_are_saved_and_what_cannot_be_is_refused_in_one_line(ros, models, ct, tmp_path):
    ros.start("liver_seg", models_dir=str(models))
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    for node in ("segmentation", "reconstruction"):
        early = save(ros, node, tmp_path / "early")
        assert (early.status.code, early.status.text) == (RequestStatus.NOT_READY, "there is no result yet")
    meshes = ros.latched(StructureMeshArray, "meshes")
    reports = [ros.latched(SegmentationReport, f"/{n}/report") for n in ("segmentation", "reconstruction")]
    write_volume(tmp_path / "ct.nrrd", ct)
    ros.start("ct_source", path=str(tmp_path / "ct.nrrd"))
    ros.spin_until(lambda: all(reports) and bool(meshes))
    uid = reports[0][0].volume_uid

    folder = tmp_path / "new" / "results"
    segmented, reconstructed = (save(ros, node, folder) for node in ("segmentation", "reconstruction"))
    for answer in (segmented, reconstructed):
        assert (answer.status.code, answer.status.text, answer.volume_uid) == (RequestStatus.OK, "", uid)
    assert {Path(path).name for path in segmented.files} == {"labels.nii.gz", "labels.seg.nrrd", "report.json"}
    there = {str(path) for path in folder.iterdir() if path.name != ".liver-seg.json"}
    assert there == {*segmented.files, *reconstructed.files}
    expected = load_default_segmenter(models).segment(ct).labels.array
    np.testing.assert_array_equal(read_labels(folder / "labels.nii.gz").array, expected)
    [liver] = [mesh for mesh in meshes[0].meshes if mesh.measurement.structure == "liver"]
    assert len(read_surface(folder / "liver.ply").triangles) == len(liver.mesh.triangles)
    assert save(ros, "segmentation", folder).status.code == RequestStatus.OK  # its own files it replaces

    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "labels.nii.gz").write_text("of someone")
    (tmp_path / "file").touch()
    for where, says in (
        (foreign, "or replace it with overwrite"),
        ("results", "no absolute path"),
        ("", "no absolute path"),
        (tmp_path / "file", "is a file"),
        ("/proc/here", "cannot"),
    ):
        refused = save(ros, "segmentation", where)
        assert refused.status.code == RequestStatus.REFUSED and says in refused.status.text, refused.status.text
        assert "\n" not in refused.status.text and not refused.files and not refused.volume_uid
    assert [path.name for path in foreign.iterdir()] == ["labels.nii.gz"]
    assert (foreign / "labels.nii.gz").read_text() == "of someone"
    assert save(ros, "segmentation", foreign, overwrite=True).status.code == RequestStatus.OK
    np.testing.assert_array_equal(read_labels(foreign / "labels.nii.gz").array, expected)
