# SPDX-License-Identifier: Apache-2.0
"""`liver-seg info`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros import __version__
from liver_seg_ros.cli import main
from liver_seg_ros.inference.runtimes import tensorrt
from liver_seg_ros.inference.runtimes.choice import RUNTIMES

FIRST = "openvino" if tensorrt.unavailable() else "tensorrt"


def _info(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main.run(["info", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_describes_a_ct(small_ct: Path, small_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _info(capsys, small_ct / "ct.nii.gz", "--models", small_models)["file"]
    assert file["kind"] == "CT" and file["size"] == [64, 56, 40] and file["spacing_mm"] == [3, 3, 3]
    assert (
        file["orientation"] == "LPS"
        and file["hu_min"] == -1000
        and file["hu_max"] == 230
        and file["extent_mm"] == [192, 168, 120]
    )


def test_describes_labels(small_ct: Path, small_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _info(capsys, small_ct / "labels.nii.gz", "--models", small_models)["file"]
    assert file["kind"] == "labels" and file["voxels"]["liver"] > file["voxels"]["tumor"] > 0


def test_says_what_would_run_and_why(
    small_models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _info(capsys, "--models", small_models)["inference"]
    assert given["why_models"] == "given with --models" and given["segmenter"]["name"] == "nearest-mean-segment"
    for model in (given["localizer"], given["segmenter"]):
        assert (model["runtime"], model["precision"]) == (FIRST, "fp32")
        assert model["why"].startswith("the first in order of speed that works here; fp32, as")
        assert {FIRST, *model["other_runtimes"]} == set(RUNTIMES) and all(model["other_runtimes"].values())
    monkeypatch.setenv("LIVER_SEG_MODELS", str(small_models))
    named = _info(capsys)
    assert "LIVER_SEG_MODELS" in named["inference"]["why_models"]
    assert named["versions"]["liver_seg_ros"] == __version__


def test_says_what_was_asked_for_and_why_it_cannot_be_had(
    small_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = _info(capsys, "--models", small_models, "--runtime", "onnxruntime", "--precision", "fp32")["inference"]
    assert asked["segmenter"]["why"] == "asked for; fp32 was asked for"
    assert asked["segmenter"]["other_runtimes"]["openvino"] == "not asked for"
    assert main.run(["info", "--models", str(small_models), "--precision", "int8"]) == 2
    assert "has no int8 weights for it, but fp32" in capsys.readouterr().err


def test_says_why_nothing_could_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVER_SEG_MODELS", str(tmp_path))
    assert str(tmp_path) in _info(capsys)["inference"]["problem"]
    monkeypatch.delenv("LIVER_SEG_MODELS")
    assert main.run(["info", "--models", str(tmp_path)]) == 2  # asked for, and not to be had


def test_for_people_one_fact_per_line(small_ct: Path, small_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["info", str(small_ct / "ct.nii.gz"), "--models", str(small_models)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "size: 64 x 56 x 40" in lines and "hu_min: -1000" in lines and "orientation: LPS" in lines


def test_zeros_are_no_labels(
    write_nifti: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of zeros could be an empty label file; who asks about it wants to hear that it is empty."""
    write_nifti(tmp_path / "zeros.nii.gz", np.zeros((40, 56, 64), np.int16))
    assert main.run(["info", str(tmp_path / "zeros.nii.gz")]) == 2
    assert "all voxels are 0" in capsys.readouterr().err
