# SPDX-License-Identifier: Apache-2.0
"""`liver-seg territories` on a liver whose vein forks once, drawn so that the halves are known."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from liver_seg_ros.cli import main
from liver_seg_ros.labels import LIVER, PORTAL_VEIN, TUMOR, VESSEL

VOXEL_ML = 2.0**3 / 1000


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ball of a liver at 2 mm; a trunk along i that forks towards low and, thinner, high j; a lesion at low j."""
    i, j, k = (axis.T for axis in np.indices((56, 52, 44)))
    array = np.zeros((44, 52, 56), np.uint8)
    array[(i - 28) ** 2 + (j - 26) ** 2 + (k - 22) ** 2 <= 20**2] = LIVER.value
    array[(i - 36) ** 2 + (j - 14) ** 2 + (k - 24) ** 2 <= 3**2] = TUMOR.value
    at = np.stack([i, j, k], axis=-1)
    for end, radius in (((8, 26, 22), 3.0), ((42, 14, 22), 2.2), ((42, 38, 22), 1.8)):
        start, along = np.array([24, 26, 22]), np.subtract(end, [24, 26, 22])
        part = (((at - start) @ along) / (along @ along)).clip(0, 1)
        array[np.linalg.norm(at - start - part[..., None] * along, axis=-1) <= radius] = PORTAL_VEIN.value
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((2.0, 2.0, 2.0))
    image.SetOrigin((-40.0, 10.0, 900.0))
    path = tmp_path_factory.mktemp("fork") / "labels.nii.gz"
    SimpleITK.WriteImage(image, str(path))
    return path


def divided(*arguments: object) -> int:
    return main.run(["territories", *map(str, arguments)])


def read(path: Path) -> tuple[np.ndarray, SimpleITK.Image]:
    image = SimpleITK.ReadImage(str(path))
    return SimpleITK.GetArrayFromImage(image), image


def test_the_halves_of_a_fork_with_volumes_in_every_file(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert divided(labels, "-o", tmp_path, "--resect", "1") == 0
    out = capsys.readouterr().out
    found, image = read(tmp_path / "territories.nii.gz")
    stored, source = read(labels)
    assert image.GetSize() == source.GetSize()
    assert image.GetOrigin() == pytest.approx(source.GetOrigin())
    assert not found[stored == 0].any() and found[(stored == LIVER.value) | (stored == TUMOR.value)].all()
    beyond = np.indices(stored.shape)[2] > 30  # the fork
    high = np.indices(stored.shape)[1] > 26
    for territory, side in ((1, ~high), (2, high)):  # the wider branch may lap over the middle
        assert (found[(stored == LIVER.value) & beyond & side] == territory).mean() > 0.93
    rows = list(csv.DictReader((tmp_path / "territories.csv").open()))
    assert [(row["territory"], row["structure"], row["generation"]) for row in rows] == [
        ("1", "portal_vein", "1"), ("2", "portal_vein", "1"),
    ]  # fmt: skip
    for row in rows:
        volume_ml = np.count_nonzero(found == int(row["territory"])) * VOXEL_ML
        assert float(row["volume_ml"]) == pytest.approx(volume_ml, abs=1e-3)
        assert f"{volume_ml:.0f}" in out
        share = np.count_nonzero(found == int(row["territory"])) / np.count_nonzero(found)
        assert float(row["volume_percent"]) == pytest.approx(100 * share, abs=0.01) and f"{100 * share:.1f}" in out
    assert float(rows[0]["tumor_ml"]) == pytest.approx(np.count_nonzero(stored == TUMOR.value) * VOXEL_ML, abs=1e-3)
    values = json.loads((tmp_path / "territories.json").read_text())
    assert values["portal_known"] and values["unassigned_ml"] == 0
    assert values["resection"]["resected_ml"] == pytest.approx(float(rows[0]["volume_ml"]), abs=1e-3)
    assert "Resection" in out and "do not tell" not in out


def test_labels_stored_in_another_order_of_axes_are_divided_alike(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turned = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(labels)), "PIR")
    SimpleITK.WriteImage(turned, str(tmp_path / "labels.nrrd"))
    answers = []
    for number, path in enumerate((labels, tmp_path / "labels.nrrd")):
        assert divided(path, "-o", tmp_path / str(number), "--json") == 0
        answers.append(json.loads(capsys.readouterr().out)["territories"])
    assert [row["volume_ml"] for row in answers[0]] == pytest.approx(
        [row["volume_ml"] for row in answers[1]], rel=0.02
    )  # blocks of voxels and centerlines begin elsewhere
    straight, there = (SimpleITK.ReadImage(str(tmp_path / name / "territories.nii.gz")) for name in "01")
    back = SimpleITK.GetArrayFromImage(SimpleITK.DICOMOrient(there, "LPS"))
    first = SimpleITK.GetArrayFromImage(SimpleITK.DICOMOrient(straight, "LPS"))
    assert np.array_equal(first > 0, back > 0) and (first == back).mean() > 0.99


def test_stems_and_trees_are_chosen(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def rows(*options: object) -> Any:
        assert divided(labels, "-o", tmp_path, "--json", *options) == 0
        return json.loads(capsys.readouterr().out)["territories"]

    halves = rows()
    (whole,) = rows("--generation", "0")
    assert whole["volume_ml"] == pytest.approx(sum(row["volume_ml"] for row in halves), abs=2e-3)
    assert {row["branch"] for row in rows("--stems", f"0,{halves[1]['branch']}")} == {0, halves[1]["branch"]}
    assert rows("--trees", "0") == halves


def test_vessels_that_nobody_told_apart_are_warned_of(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    array, image = read(labels)
    array[array == PORTAL_VEIN.value] = VESSEL.value
    told = SimpleITK.GetImageFromArray(array)
    told.CopyInformation(image)
    SimpleITK.WriteImage(told, str(tmp_path / "labels.nii.gz"))
    assert divided(tmp_path / "labels.nii.gz", "-o", tmp_path / "out") == 0
    assert "do not tell portal from hepatic" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "out" / "territories.json").read_text())["portal_known"] is False


@pytest.mark.parametrize(("kept", "line"), [(LIVER, "no vessel to divide"), (PORTAL_VEIN, "no liver")])
def test_nothing_to_divide_is_told_and_written(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: Any, line: str
) -> None:
    array, image = read(labels)
    array[array != kept.value] = 0
    alone = SimpleITK.GetImageFromArray(array)
    alone.CopyInformation(image)
    SimpleITK.WriteImage(alone, str(tmp_path / "labels.nii.gz"))
    assert divided(tmp_path / "labels.nii.gz", "-o", tmp_path / "out", "-q") == 1
    assert line in capsys.readouterr().err
    assert not read(tmp_path / "out" / "territories.nii.gz")[0].any()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--trees", "4"), "tree 4 is not there"),
        (("--stems", "44"), "branch 44 is not there"),
        (("--resect", "0"), "--resect 0: there are 2 territories, numbered from 1"),
        (("--stems", "a"), "'a' is not whole numbers"),
        (("--stems", "-1"), "'-1' is not whole numbers"),
    ],
)
def test_what_is_not_there_is_one_line(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], line: str
) -> None:
    assert divided(labels, "-o", tmp_path / "out", "-q", *options) == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
