# SPDX-License-Identifier: Apache-2.0
"""`liver-seg evaluate` on labels whose scores are counted by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.cli import main
from liver_seg_ros.files.volumes import write_labels
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.volume import LabelVolume

GEOMETRY = Geometry((6, 4, 4), (9.0, 9.0, 9.0))


def write(path: Path, liver: int, tumor: int) -> None:
    """A label file of so many voxels along i, in every row of every slice."""
    array = np.zeros((4, 4, 6), np.uint8)
    array[:, :, :liver] = 1
    array[:, :, :tumor] = 2
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(path, LabelVolume(array, GEOMETRY))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    found, truth = tmp_path / "found", tmp_path / "truth"
    write(truth / "good.nii.gz", 4, 2)
    write(found / "good.nii.gz", 4, 2)
    write(truth / "bad.nii.gz", 4, 1)
    write(found / "bad.nii.gz", 2, 2)  # liver 2 of 4: Dice 4/6; tumor 1 shared of 1 and 2: Dice 2/3
    return found, truth


def test_folders_give_means_deviations_and_the_worst_case(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, truth = folders
    assert main.run(["evaluate", str(found), str(truth), "-o", str(tmp_path / "scores")]) == 0
    output = capsys.readouterr().out
    assert "Scores of 2 cases" in output
    assert "0.833" in output  # (1 + 2/3) / 2, of both structures
    assert output.index("bad") < output.index("good")
    with (tmp_path / "scores" / "scores.csv").open(newline="") as file:
        rows = {(r["case"], r["structure"], r["metric"]): r["value"] for r in csv.DictReader(file)}
    assert float(rows["bad", "liver", "dice"]) == pytest.approx(2 / 3)
    assert float(rows["good", "tumor", "dice"]) == 1
    summary = json.loads((tmp_path / "scores" / "scores.json").read_text())["summary"]
    assert summary["tumor"]["dice"]["worst"] == "bad"
    assert summary["tumor"]["dice"]["deviation"] == pytest.approx((1 / 3) / 2**0.5)


def test_the_definition_of_the_liver_and_of_the_mean_can_be_chosen(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found, truth = folders

    def scores(*options: str) -> dict:
        arguments = [str(found / "bad.nii.gz"), str(truth / "bad.nii.gz"), "--json", *options]
        assert main.run(["evaluate", *arguments]) == 0
        return json.loads(capsys.readouterr().out)["cases"]["bad"]

    assert scores()["liver"]["dice"] == pytest.approx(2 / 3)
    # Found has no voxel of the label liver: 2 are tumor. Truth has 3.
    assert scores("--liver-alone")["liver"]["dice"] == 0
    assert scores()["all"]["mean_iou"] == pytest.approx((0 + 1 / 2) / 2)
    # Background: truth 2, found 4, shared 2.
    assert scores("--with-background")["all"]["mean_iou"] == pytest.approx((2 / 4 + 0 + 1 / 2) / 3)


def test_a_case_without_labels_found_is_one_line_and_exit_code_2(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found, truth = folders
    (found / "bad.nii.gz").unlink()
    assert main.run(["evaluate", str(found), str(truth)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "lacks 1 of 2 cases" in line
    assert "bad" in line
