# SPDX-License-Identifier: Apache-2.0
"""`liver-seg segment` with real files and real, if tiny, ONNX networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import SimpleITK

from liver_seg_ros.cli import main
from liver_seg_ros.labels import LIVER, SEGMENTED

LiverSeg = Callable[..., CompletedProcess[str]]
Draw = Callable[..., tuple[np.ndarray, np.ndarray]]
Write = Callable[..., None]


@pytest.fixture(scope="module")
def segmented(
    liver_seg: LiverSeg, small_ct: Path, small_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    output = tmp_path_factory.mktemp("segmented") / "case"
    truth = small_ct / "labels.nii.gz"
    result = liver_seg(
        "segment", small_ct / "ct.nii.gz", "-o", output, "--models", small_models, "--truth", truth, "--json"
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    (output.parent / "stdout.json").write_text(result.stdout)
    return output


def test_writes_labels_a_slicer_segmentation_and_a_report(segmented: Path) -> None:
    assert {path.name for path in segmented.iterdir()} == {
        "labels.nii.gz", "labels.seg.nrrd", "report.json", ".liver-seg.json",
    }  # fmt: skip
    nifti, slicer = (SimpleITK.ReadImage(str(segmented / name)) for name in ("labels.nii.gz", "labels.seg.nrrd"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(nifti), SimpleITK.GetArrayFromImage(slicer))
    names = {slicer.GetMetaData(key) for key in slicer.GetMetaDataKeys() if key.endswith("_Name")}
    assert {structure.name for structure in SEGMENTED} <= {name.lower() for name in names}


def test_labels_are_on_the_grid_of_the_ct_and_right(segmented: Path, small_ct: Path) -> None:
    labels, ct = SimpleITK.ReadImage(str(segmented / "labels.nii.gz")), SimpleITK.ReadImage(str(small_ct / "ct.nii.gz"))
    assert labels.GetSize() == ct.GetSize()
    assert labels.GetSpacing() == pytest.approx(ct.GetSpacing()) and labels.GetOrigin() == pytest.approx(ct.GetOrigin())
    truth = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(small_ct / "labels.nii.gz")))
    assert np.mean(SimpleITK.GetArrayFromImage(labels) == truth) > 0.99


def test_the_report_says_what_was_found_with_what(segmented: Path, small_ct: Path, draw_body: Draw) -> None:
    report = json.loads((segmented / "report.json").read_text())
    assert report["liver_found"] is True and report["lesions"] == 1 and report["synthetic"] is None
    assert report["input"] == str(small_ct / "ct.nii.gz")
    assert report["geometry"]["size"] == [64, 56, 40] and report["geometry"]["orientation"] == "LPS"
    voxels = np.bincount(draw_body()[1].reshape(-1))
    for structure in SEGMENTED:
        found = report["structures"][structure.name]
        own = voxels[1:].sum() if structure is LIVER else voxels[structure.value]  # the liver's volume is the organ's
        assert found["volume_ml"] == pytest.approx(own * 0.027, rel=0.1)
    assert report["structures"]["tumor"]["largest_diameter_mm"] == pytest.approx(30, abs=4)
    assert report["structures"]["tumor"]["triangles"] is None
    assert all(report["dice"][structure.name] > 0.9 for structure in SEGMENTED)
    assert {"read", "localize", "segment", "write"} <= set(report["seconds"])
    assert report["peak_memory_mb"] > 50
    assert [model["name"] for model in report["models"]] == ["nearest-mean-localize", "nearest-mean-segment"]
    assert all(len(model["sha256"]) == 64 for model in report["models"])
    assert report["versions"]["onnxruntime"] and report["runtime"].startswith(
        ("openvino fp32 (CPU, ", "tensorrt fp32 (GPU ")
    )


def test_json_on_stdout_is_the_report(segmented: Path) -> None:
    assert json.loads((segmented.parent / "stdout.json").read_text()) == json.loads(
        (segmented / "report.json").read_text()
    )


def test_without_json_a_table_for_people(
    small_ct: Path, small_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["segment", str(small_ct / "ct.nii.gz"), "-o", str(tmp_path), "--models", str(small_models)]) == 0
    out = capsys.readouterr().out
    assert "volume ml" in out and all(structure.name in out for structure in SEGMENTED) and "localize" in out


def test_no_liver_is_said_in_every_way(
    liver_seg: LiverSeg, small_models: Path, draw_body: Draw, write_nifti: Write, tmp_path: Path
) -> None:
    write_nifti(tmp_path / "ct.nii.gz", draw_body(with_liver=False)[0])
    output = tmp_path / "out"
    result = liver_seg("segment", tmp_path / "ct.nii.gz", "-o", output, "--models", small_models, "--json")
    assert result.returncode == 1
    assert result.stderr.startswith("liver-seg: ") and result.stderr.count("\n") == 1 and "no liver" in result.stderr
    report = json.loads((output / "report.json").read_text())
    assert report["liver_found"] is False and "no liver" in report["message"]
    assert json.loads(result.stdout) == report
    assert not SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(output / "labels.nii.gz"))).any()


def test_a_mask_of_the_liver_alone_scores_the_organ_alone(
    small_ct: Path,
    small_models: Path,
    draw_body: Draw,
    write_nifti: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_nifti(tmp_path / "mask.nii.gz", (draw_body()[1] > 0).astype(np.uint8))
    arguments = ["segment", small_ct / "ct.nii.gz", "-o", tmp_path, "--models", small_models]
    assert main.run([*map(str, arguments), "--truth", str(tmp_path / "mask.nii.gz"), "--json"]) == 0
    dice = json.loads(capsys.readouterr().out)["dice"]
    assert list(dice) == ["liver"] and dice["liver"] > 0.97


def test_a_truth_of_another_ct_is_refused_and_nothing_written(
    small_ct: Path,
    small_models: Path,
    draw_body: Draw,
    write_nifti: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_nifti(tmp_path / "other.nii.gz", draw_body()[1], spacing_mm=2.0)
    arguments = ["segment", small_ct / "ct.nii.gz", "-o", tmp_path / "out", "--models", small_models]
    assert main.run([*map(str, arguments), "--truth", str(tmp_path / "other.nii.gz")]) == 2
    assert "grid" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_runtime_and_missing_models_are_usage_errors(
    small_ct: Path, small_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ct = str(small_ct / "ct.nii.gz")
    out = str(tmp_path / "out")
    assert main.run(["segment", ct, "-o", out, "--models", str(small_models), "--runtime", "abacus"]) == 2
    assert "abacus" in capsys.readouterr().err
    assert main.run(["segment", ct, "-o", out, "--models", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    assert main.run(["segment", ct, "-o", out, "--smooth", "spleen=1"]) == 2
    assert "'spleen=1' is no smoothing; give one of liver, tumor, vessel" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_steps_of_postprocessing_can_be_left_out(
    liver_seg: LiverSeg, small_ct: Path, small_models: Path, segmented: Path, tmp_path: Path
) -> None:
    """Without the least volume of the model, more or as many lesions are left."""
    command = ("segment", small_ct / "ct.nii.gz", "-o", tmp_path / "out", "--models", small_models, "--json")
    result = liver_seg(*command, "--skip", "min_volume", "--skip", "tumor_contact")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["lesions"] >= json.loads((segmented / "report.json").read_text())["lesions"]
    refused = liver_seg(*command, "--skip", "smooth")
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "no such step of postprocessing: smooth; there are: tumor_contact" in refused.stderr
