# SPDX-License-Identifier: Apache-2.0
"""`liver-seg veins` on two trees drawn by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from liver_seg_ros.cli import main
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, PORTAL_VEIN, VENA_CAVA, VESSEL


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A ball of a liver at 3 mm; a vessel along x in its middle, and one forward from a cava high up behind."""
    k, j, i = np.indices((50, 50, 50))
    array = np.where((i - 25) ** 2 + (j - 25) ** 2 + (k - 25) ** 2 < 22**2, LIVER.value, 0).astype(np.uint8)
    array[((j - 20) ** 2 + (k - 24) ** 2 <= 4) & (i > 12) & (i < 44)] = VESSEL.value
    array[((i - 28) ** 2 + (k - 38) ** 2 <= 4) & (j > 9) & (j < 33) & (array > 0)] = VESSEL.value
    array[(i - 28) ** 2 + (j - 34) ** 2 <= 4] = VENA_CAVA.value
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((3.0, 3.0, 3.0))
    path = tmp_path / "labels.nii.gz"
    SimpleITK.WriteImage(image, str(path))
    return path


def test_both_kinds_are_named_in_every_file(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["veins", str(labels), "-o", str(tmp_path / "out")]) == 0
    assert "not validated on patients" in " ".join(capsys.readouterr().out.split())
    before, stored = (
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
        for path in (labels, tmp_path / "out" / "veins.seg.nrrd")
    )
    along_x = (before == VESSEL.value) & (np.indices(before.shape)[0] < 30)
    assert (stored[along_x] == PORTAL_VEIN.value).all()
    assert (stored[(before == VESSEL.value) & ~along_x] == HEPATIC_VEIN.value).all()
    assert np.array_equal(stored[before != VESSEL.value], before[before != VESSEL.value])
    values = json.loads((tmp_path / "out" / "veins.json").read_text())
    assert values["by_vena_cava"] and not values["message"]
    amounts = {row["structure"]: row for row in values["veins"]}
    assert amounts["portal_vein"]["volume_ml"] == pytest.approx(np.count_nonzero(along_x) * 0.027)
    assert amounts["hepatic_vein"]["length_mm"] == pytest.approx(23 * 3, rel=0.1)
    tree = json.loads((tmp_path / "out" / "vessel_tree.json").read_text())
    assert {row["structure"] for row in tree["branches"]} == {row["structure"] for row in values["trees"]}


def test_nothing_to_name_is_told_and_written(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main.run(["veins", str(labels), "-o", str(first), "-q"]) == 0
    assert main.run(["veins", str(first / "veins.nii.gz"), "-o", str(second), "-q"]) == 1
    assert "there is no vessel that is not named yet" in capsys.readouterr().err
    before, after = (
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "veins.nii.gz"))) for folder in (first, second)
    )
    assert np.array_equal(before, after)
