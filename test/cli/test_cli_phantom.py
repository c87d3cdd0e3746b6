# SPDX-License-Identifier: Apache-2.0
"""`liver-seg phantom`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import SimpleITK

from liver_seg_ros.cli import main
from liver_seg_ros.files.phantom_case import known_synthetic
from liver_seg_ros.files.volumes import read_volume

SMALL = ["--size", "64,56,40", "--spacing-mm", "5,5,6", "--phase", "portal_venous", "--tumors", "2"]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory, liver_seg: Callable[..., CompletedProcess[str]]) -> dict:
    """What `phantom --json` says; making one takes seconds, so that all tests look at this one."""
    result = liver_seg("phantom", "-o", tmp_path_factory.mktemp("phantom"), "--seed", "11", *SMALL, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def phantom(answer: dict) -> Path:
    return Path(answer["files"]["ct.nii.gz"]).parent


def test_writes_a_ct_labels_and_the_vessels(phantom: Path) -> None:
    assert {path.name for path in phantom.iterdir()} == {
        "ct.nii.gz", "labels.nii.gz", "vessels.json", ".liver-seg.json",
    }  # fmt: skip
    ct, labels = (SimpleITK.ReadImage(str(phantom / name)) for name in ("ct.nii.gz", "labels.nii.gz"))
    assert ct.GetSize() == labels.GetSize() == (64, 56, 40)
    assert ct.GetSpacing() == pytest.approx((5, 5, 6))
    liver_hu = np.median(SimpleITK.GetArrayFromImage(ct)[SimpleITK.GetArrayFromImage(labels) == 1])
    assert 60 < liver_hu < 180  # portal-venous


def test_vessels_json_lies_where_the_labels_are(phantom: Path) -> None:
    truth = json.loads((phantom / "vessels.json").read_text())
    assert truth["seed"] == 11 and truth["phase"] == "portal_venous" and truth["frame"] == "LPS"
    labels = SimpleITK.ReadImage(str(phantom / "labels.nii.gz"))
    organ = SimpleITK.GetArrayFromImage(labels) > 0
    for tree in ("portal", "hepatic"):
        points, radius = np.array(truth[tree]["points_mm"]), np.array(truth[tree]["radius_mm"])
        assert points.shape == (len(radius), 3) and (radius > 0).all()
        index = [labels.TransformPhysicalPointToIndex(point) for point in points.tolist()]
        inside = [organ[k, j, i] for i, j, k in index if 0 <= i < 64 and 0 <= j < 56 and 0 <= k < 40]
        assert np.mean(inside) > 0.7  # the roots lie outside
    assert len(truth["tumors"]) <= 2


def test_a_varied_phantom_can_be_asked_for(phantom: Path, tmp_path: Path) -> None:
    options = ["--seed", "11", *SMALL, "--variation", "varied"]
    assert main.run(["phantom", "-o", str(tmp_path), *options]) == 0
    plain, varied = (
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(f / "labels.nii.gz"))) for f in (phantom, tmp_path)
    )
    assert varied.shape == plain.shape and set(np.unique(varied)) == {0, 1, 2, 3}
    assert not np.array_equal(varied, plain)


def test_the_same_seed_makes_the_same_files(phantom: Path, tmp_path: Path) -> None:
    assert main.run(["phantom", "-o", str(tmp_path), "--seed", "11", *SMALL]) == 0
    for name in ("ct.nii.gz", "labels.nii.gz"):
        arrays = [SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(f / name))) for f in (phantom, tmp_path)]
        assert np.array_equal(*arrays)
    assert (phantom / "vessels.json").read_text() == (tmp_path / "vessels.json").read_text()


def test_json_names_the_files_and_says_what_is_in_them(answer: dict, phantom: Path) -> None:
    assert all(Path(path).is_file() for path in answer["files"].values())
    labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(phantom / "labels.nii.gz")))
    assert answer["voxels"]["liver"] == (labels == 1).sum() > 1000


def test_the_ct_can_be_a_dicom_series_too(phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series = tmp_path / "series"
    options = ["phantom", "-o", str(tmp_path / "out"), "--seed", "11", *SMALL, "--dicom", str(series)]
    assert main.run(options) == 0
    assert "0001.dcm to 0040.dcm" in capsys.readouterr().out
    ct, same = (read_volume(path) for path in (series, phantom / "ct.nii.gz"))
    assert np.array_equal(ct.array, same.array)
    corners = [[0, 0, 0], [63, 55, 39]]
    np.testing.assert_allclose(ct.geometry.index_to_lps(corners), same.geometry.index_to_lps(corners), atol=1e-3)
    (series / "0007.dcm").write_text("mine")
    assert main.run(options) == 2
    assert "0007.dcm" in capsys.readouterr().err
    assert (series / "0007.dcm").read_text() == "mine"


def test_an_impossible_size_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["phantom", "-o", str(tmp_path / "out"), "--size", "2,2,2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def mask(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom's liver as other tools give it: 1 inside, 0 outside, a name of its own."""
    labels = SimpleITK.ReadImage(str(phantom / "labels.nii.gz"))
    path = tmp_path_factory.mktemp("mask") / "liver.nii.gz"
    SimpleITK.WriteImage(SimpleITK.Cast(labels > 0, SimpleITK.sitkUInt8), str(path))
    return path


def test_paints_tumors_and_vessels_into_another_ct(
    phantom: Path, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ct = phantom / "ct.nii.gz"
    command = ["phantom", "-o", str(tmp_path), "--into", str(ct), "--liver", str(mask), "--seed", "3", "--tumors", "2"]
    assert main.run([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {path.name for path in tmp_path.iterdir()} == {
        "ct.nii.gz", "labels.nii.gz", "implants.json", ".liver-seg.json",
    }  # fmt: skip
    truth = json.loads((tmp_path / "implants.json").read_text())
    assert truth["seed"] == 3 and len(truth["tumors"]) == answer["tumors"] >= 1 and len(truth["trees"]) == 1
    before, after, inside, labels = (
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
        for path in (ct, tmp_path / "ct.nii.gz", mask, tmp_path / "labels.nii.gz")
    )
    assert np.array_equal(before[inside == 0], after[inside == 0]) and not np.array_equal(before, after)
    assert np.array_equal(labels > 0, inside > 0)
    assert answer["voxels"]["tumor"] == (labels == 2).sum() > 0 and answer["voxels"]["vessel"] > 0
    assert known_synthetic(tmp_path / "ct.nii.gz") is None  # whose liver it is, nobody has said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--into", "ct.nii.gz"], "--into and --liver need each other"),
        (
            ["--into", "ct.nii.gz", "--liver", "liver.nii.gz", "--noise-hu", "3"],
            "--noise-hu has no meaning with --into",
        ),
        (["--dicom", "{output}"], "--dicom is the folder of -o"),
        (["--dicom", "{output}/../out"], "--dicom is the folder of -o"),
        (["--trees", "2"], "--trees needs --into and --liver"),
        (["--into", "ct.nii.gz", "--liver", "liver.nii.gz", "--dicom", "out"], "--dicom has no meaning with --into"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    assert main.run(["phantom", "-o", str(output), *(text.format(output=output) for text in options)]) == 2
    assert not [*output.iterdir()]
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
