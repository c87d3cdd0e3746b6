# SPDX-License-Identifier: Apache-2.0
"""`liver-seg measure` on labels drawn by hand."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from liver_seg_ros.cli import main

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]
Write = Callable[..., None]


def test_prints_a_row_per_structure_and_lesion(small_ct: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["measure", str(small_ct / "labels.nii.gz")]) == 0
    out = capsys.readouterr().out
    volume_ml, uncertainty_ml = re.search(r"^1 +(\S+) ± (\S+)", out, re.MULTILINE).groups()
    assert float(volume_ml) == pytest.approx(4 / 3 * np.pi * 1.5**3, abs=float(uncertainty_ml))  # a ball of 15 mm
    assert "liver" in out and "vessel" in out and "Not for clinical use" in out


def test_nothing_is_cut_off_on_eighty_columns(
    small_ct: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main.run(["measure", str(small_ct / "labels.nii.gz")]) == 0
    out = capsys.readouterr().out
    assert "…" not in out and all(len(line) <= 80 for line in out.splitlines())


def test_json_holds_all_that_was_measured(small_ct: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["measure", str(small_ct / "labels.nii.gz"), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    structures = {structure["structure"]: structure for structure in measured["structures"]}
    (lesion,) = structures["tumor"]["parts"]
    assert lesion["largest_diameter_mm"] == pytest.approx(30, abs=lesion["diameter_uncertainty_mm"])
    assert lesion["center_mm"] == pytest.approx((-29, 19, 7), abs=0.5)
    assert lesion["to_vessel"]["structure"] == "vessel" and lesion["touches_border"] is False
    assert measured["synthetic"] is None and measured["input"] == str(small_ct / "labels.nii.gz")


def test_writes_files_where_asked(small_ct: Path, tmp_path: Path) -> None:
    arguments = ["measure", str(small_ct / "labels.nii.gz"), "-o", str(tmp_path), "--ct", str(small_ct / "ct.nii.gz")]
    assert main.run([*arguments, "--png"]) == 0
    names = {"measurements.json", "measurements.csv", ".liver-seg.json"}
    assert {path.name for path in tmp_path.iterdir()} == {*names, "scene.png", "overlay.png"}
    rows = list(csv.DictReader((tmp_path / "measurements.csv").open()))
    assert [(row["structure"], row["lesion"]) for row in rows][:3] == [("liver", ""), ("tumor", ""), ("tumor", "1")]
    assert main.run(arguments) == 0  # pictures of an earlier run do not stay
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_lesion_at_the_border_of_the_scan_is_warned_of(
    draw_body: Draw, write_nifti: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nifti(tmp_path / "cut.nii.gz", draw_body()[1][22:])
    assert main.run(["measure", str(tmp_path / "cut.nii.gz")]) == 0
    assert "border of the scan cuts lesion 1" in capsys.readouterr().out


def test_pictures_without_a_folder_are_refused(small_ct: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["measure", str(small_ct / "labels.nii.gz"), "--html"]) == 2
    assert "-o" in capsys.readouterr().err


def test_a_ct_of_another_grid_is_refused(
    small_ct: Path, draw_body: Draw, write_nifti: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nifti(tmp_path / "other.nii.gz", draw_body()[1], spacing_mm=2.0)
    arguments = ["measure", tmp_path / "other.nii.gz", "--ct", small_ct / "ct.nii.gz"]
    assert main.run([str(argument) for argument in arguments]) == 2
    assert "grid" in capsys.readouterr().err


def test_labels_stored_in_another_order_of_axes_measure_the_same(
    small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = SimpleITK.ReadImage(str(small_ct / "labels.nii.gz"))
    SimpleITK.WriteImage(SimpleITK.DICOMOrient(image, "PIR"), str(tmp_path / "labels.nrrd"))
    measured = []
    for labels in (small_ct / "labels.nii.gz", tmp_path / "labels.nrrd"):
        assert main.run(["measure", str(labels), "--ct", str(small_ct / "ct.nii.gz"), "--json"]) == 0
        measured.append(json.loads(capsys.readouterr().out)["structures"])
    assert measured[0] == measured[1]
