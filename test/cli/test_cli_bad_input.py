# SPDX-License-Identifier: Apache-2.0
"""Bad input, as users really have it: one clear line, exit code 2, nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import SimpleITK

from liver_seg_ros.cli import main

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]
Write = Callable[..., None]


@pytest.fixture
def bad_input(request: pytest.FixtureRequest, tmp_path: Path, draw_body: Draw, write_nifti: Write) -> Path:
    """The file or folder of the bad input named by the parameter."""
    ct = draw_body()[0]
    folder = tmp_path / "input"
    folder.mkdir()
    file = folder / "ct.nii.gz"
    kind = request.param
    if kind == "missing file":
        return file
    if kind == "empty folder":
        return folder
    if kind in ("JPEG renamed .dcm", "folder of a JPEG renamed .dcm"):
        jpeg = folder / "slice.jpg"
        picture = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(picture), str(jpeg))
        renamed = jpeg.rename(folder / "slice.dcm")
        return folder if kind.startswith("folder") else renamed
    if kind == "text called .nii.gz":
        file.write_text("not a volume")
        return file
    if kind == "NaN":
        broken = ct.astype(np.float32)
        broken[5, 6, 7] = np.nan
        write_nifti(file, broken)
    elif kind == "spacing in metres":
        write_nifti(file, ct, spacing_mm=0.003)
    else:
        changed = {"one slice": ct[:1], "all zero": np.zeros_like(ct), "HU without the rescale intercept": ct + 1024}
        write_nifti(file, changed.get(kind, ct))
    if kind == "truncated":
        file.write_bytes(file.read_bytes()[:-2000])
    return file


EVERY_KIND = pytest.mark.parametrize(
    "bad_input",
    [
        "missing file",
        "truncated",
        "text called .nii.gz",
        "empty folder",
        "JPEG renamed .dcm",
        "folder of a JPEG renamed .dcm",
        "one slice",
        "all zero",
        "NaN",
        "spacing in metres",
        "HU without the rescale intercept",
    ],
    indirect=True,
)


@EVERY_KIND
def test_segment_refuses_it_in_one_line(
    bad_input: Path, tmp_path: Path, small_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["segment", str(bad_input), "-o", str(tmp_path / "out"), "--models", str(small_models)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    _check_line(err, bad_input)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bad_input", ["truncated", "folder of a JPEG renamed .dcm", "NaN"], indirect=True)
def test_nothing_else_reaches_stderr_of_a_process(
    bad_input: Path, tmp_path: Path, liver_seg: Callable[..., CompletedProcess[str]]
) -> None:
    """The libraries below, in C and C++, write their own complaints past Python: they would spoil the one line."""
    result = liver_seg("info", bad_input)
    assert result.returncode == 2 and result.stdout == ""
    _check_line(result.stderr, bad_input)


def _check_line(err: str, bad_input: Path) -> None:
    assert err.startswith("liver-seg: ") and err.count("\n") == 1
    assert str(bad_input) in err and "Traceback" not in err


def test_json_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["info", str(tmp_path), "--json"]) == 2
    out, err = capsys.readouterr()
    assert f"liver-seg: {json.loads(out)['error']}\n" == err


@pytest.mark.parametrize("command", ["reconstruct", "measure", "plan", "territories", "veins", "render"])
def test_labels_that_are_no_labels_are_refused(
    command: str, small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ct = str(small_ct / "ct.nii.gz")
    arguments = {"render": [ct, ct], "plan": [ct, "--entry=0,0,0"]}.get(command, [ct])
    assert main.run([command, *arguments, "-o", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "label" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["phantom", "segment", "reconstruct", "measure", "plan", "territories", "render"])
def test_an_output_that_is_a_file_is_refused_before_the_work(
    command: str, small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")
    ct, labels = str(small_ct / "ct.nii.gz"), str(small_ct / "labels.nii.gz")
    inputs = {"phantom": [], "segment": [ct], "reconstruct": [labels], "render": [ct, labels]}.get(command, [labels])
    assert main.run([command, *inputs, "-o", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "is a file" in err
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(("spacing_mm", "words"), [(0.003, "in metres"), (3000, "not in mm")])
@pytest.mark.parametrize(
    "command",
    [
        "measure LABELS",
        "reconstruct LABELS -o OUT",
        "plan LABELS --ct CT -o OUT",
        "territories LABELS -o OUT",
        "render CT LABELS -o OUT",
        "info LABELS",
    ],
)
def test_labels_in_another_unit_are_refused_in_one_line(
    command: str, spacing_mm: float, words: str, small_ct: Path, tmp_path: Path, draw_body: Draw, write_nifti: Write,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    labels, out = tmp_path / "labels.nii.gz", tmp_path / "out"
    write_nifti(labels, draw_body()[1], spacing_mm=spacing_mm)
    places = {"LABELS": str(labels), "OUT": str(out), "CT": str(small_ct / "ct.nii.gz")}
    assert main.run([places.get(word, word) for word in command.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert str(labels) in said.err and words in said.err
    assert not out.exists()
