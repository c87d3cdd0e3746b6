# SPDX-License-Identifier: Apache-2.0
"""Reasons to doubt a result reach every place where someone reads it: terminal, files, page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.cli import main

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]
Write = Callable[..., None]


@pytest.fixture(scope="module")
def cut(draw_body: Draw, write_nifti: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT and labels of which the lower half is missing: the cut goes through the liver and its lesion."""
    folder = tmp_path_factory.mktemp("cut")
    for name, array in zip(("ct.nii.gz", "labels.nii.gz"), draw_body(), strict=True):
        write_nifti(folder / name, array[22:])
    return folder


CUT = ["liver_cut_by_edge", "liver_small", "lesion_cut_by_edge"]


def run(*arguments: object) -> int:
    return main.run([str(argument) for argument in arguments])


def codes(path: Path) -> list[str]:
    return [warning["code"] for warning in json.loads(path.read_text())["warnings"]]


def test_segment_says_them_in_the_report_and_in_a_narrow_terminal(
    cut: Path, small_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert run("segment", cut / "ct.nii.gz", "-o", tmp_path, "--models", small_models) == 0
    assert codes(tmp_path / "report.json") == [*CUT, "whole_ct_searched"]
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if str(tmp_path) not in line and str(cut) not in line) <= 50
    said = " ".join(" ".join(lines).split())
    (area_cm2,) = re.findall(r"Doubt: The edge of the scan cuts the liver, towards: feet \((\d+) cm²\)", said)
    voxels = np.pi * (15**2 - 2**2)  # of the ball's slice 2 from its middle, 3 mm each
    assert float(area_cm2) == pytest.approx(voxels * 9 / 100, rel=0.1)
    assert all(f"[{code}]" in said for code in (*CUT, "whole_ct_searched"))


def test_labels_of_ones_own_are_doubted_too_and_nothing_is_said_of_models(
    cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = cut / "labels.nii.gz"
    assert run("measure", labels, "-o", tmp_path / "m", "--json") == 0
    assert [warning["code"] for warning in json.loads(capsys.readouterr().out)["warnings"]] == CUT
    assert codes(tmp_path / "m" / "measurements.json") == CUT
    assert run("reconstruct", labels, "--ct", cut / "ct.nii.gz", "-o", tmp_path / "r", "--html") == 0
    assert codes(tmp_path / "r" / "report.json") == codes(tmp_path / "r" / "measurements.json") == CUT
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'<p class="note" data-code="(\w+)"><strong>Doubt:</strong> The', page) == CUT
    assert "The border of the scan cuts lesion 1:" in capsys.readouterr().out


def test_a_plan_carries_them(cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("plan", cut / "labels.nii.gz", "-o", tmp_path, "--entry=-29,-60,20", "--html")
    assert codes(tmp_path / "plan.json") == CUT
    assert "[liver_cut_by_edge]" in capsys.readouterr().out
    assert 'data-code="liver_cut_by_edge"' in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_brightness_needs_the_ct(
    draw_body: Draw, write_nifti: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ct, labels = draw_body()
    ct[labels == 3] = 115  # as bright as the liver
    write_nifti(tmp_path / "ct.nii.gz", ct)
    write_nifti(tmp_path / "labels.nii.gz", labels)
    assert run("measure", tmp_path / "labels.nii.gz") == 0
    assert "no_contrast" not in capsys.readouterr().out
    assert run("measure", tmp_path / "labels.nii.gz", "--ct", tmp_path / "ct.nii.gz") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Vessels do not stand out: they have 115 HU, the liver 110 HU." in said


def test_no_liver_says_what_to_try(
    small_models: Path, draw_body: Draw, write_nifti: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nifti(tmp_path / "ct.nii.gz", draw_body(with_liver=False)[0])
    assert run("segment", tmp_path / "ct.nii.gz", "-o", tmp_path, "--models", small_models) == 1
    assert codes(tmp_path / "report.json") == ["no_liver"]
    said = " ".join(capsys.readouterr().out.split())
    assert "No liver was found in 192 x 168 x 120 mm. Check that the abdomen is in view" in said
