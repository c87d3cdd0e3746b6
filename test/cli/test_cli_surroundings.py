# SPDX-License-Identifier: Apache-2.0
"""`liver-seg segment --surroundings` writes a map of organs, and `plan --surroundings` keeps clear of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from liver_seg_ros.cli import main
from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.labels import AORTA, LIVER

#: LPS of the middle of a bright column behind the liver, see `case`.
COLUMN_MM = np.array([-95.0 + 3 * 34, -83.0 + 3 * 46, 0.0])


@pytest.fixture(scope="module")
def case(draw_body, write_nifti, small_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A body with a column as bright as a vessel behind the liver, and the map of it in `found`."""
    folder = tmp_path_factory.mktemp("surroundings")
    ct, labels = draw_body()
    _, j, i = np.ogrid[:40, :56, :64]
    ct[np.broadcast_to((j - 46) ** 2 + (i - 34) ** 2 <= 5**2, ct.shape)] = 230
    write_nifti(folder / "ct.nii.gz", ct)
    write_nifti(folder / "labels.nii.gz", labels)
    arguments = ["segment", folder / "ct.nii.gz", "-o", folder / "found", "--models", small_models, "--surroundings"]
    assert main.run([str(argument) for argument in (*arguments, "-q")]) == 0
    return folder


def test_the_map_says_what_it_shows_and_where(case: Path) -> None:
    found = read_label_source(case / "found" / "surroundings.seg.nrrd")
    labels = found.labels
    assert set(labels.structures()) == {LIVER, AORTA}
    assert labels.geometry.spacing_mm == pytest.approx((2.0, 2.0, 2.0))
    beside = labels.array == AORTA.value
    places = labels.geometry.index_to_lps(np.argwhere(beside)[:, ::-1])
    far = places[np.linalg.norm(places[:, :2] - COLUMN_MM[:2], axis=1) < 22]
    assert np.allclose(far.mean(axis=0)[:2], COLUMN_MM[:2], atol=1.5)
    assert len(far) * 8 == pytest.approx(81 * 3**2 * 120, rel=0.1)  # of 81 pixels
    header = SimpleITK.ReadImage(str(case / "found" / "surroundings.seg.nrrd"))
    assert any(header.GetMetaData(key) == "aorta" for key in header.GetMetaDataKeys() if key.endswith("_Name"))
    report = json.loads((case / "found" / "report.json").read_text())
    assert [model["name"] for model in report["models"]][-1] == "nearest-mean-surround"
    assert report["seconds"]["surround"] > 0


def test_a_plan_keeps_clear_of_it(case: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def planned(*more: object) -> dict:
        arguments = ["plan", case / "labels.nii.gz", "--ct", case / "ct.nii.gz", "-o", tmp_path / f"{len(more)}"]
        arguments += ["--no-hu", "--target=-29,19,7", "--json", *more]
        assert main.run([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    without, with_map = planned(), planned("--surroundings", case / "found" / "surroundings.seg.nrrd", "--html")
    assert without["by_map"] == {"found": [], "why_not": "no map was given"}
    assert with_map["by_map"] == {"found": ["aorta"], "why_not": ""}
    assert with_map["rejected"]["clearance to aorta by map"] > 5 and not without["rejected"]
    for way in with_map["trajectories"]:
        (aorta,) = [c for c in way["clearances"] if c["structure"] == "aorta"]
        assert aorta["by_map"] and aorta["clearance_mm"] >= 3
    (page,) = (path.read_text(encoding="utf-8") for path in (tmp_path / "3").glob("*.html"))
    assert "aorta by map" in page


def test_a_map_of_another_ct_is_refused_in_one_line(
    case: Path, write_nifti: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    image = SimpleITK.ReadImage(str(case / "labels.nii.gz"))
    image.SetOrigin((5000.0, 0.0, 0.0))
    SimpleITK.WriteImage(image, str(tmp_path / "aorta.nii.gz"))
    arguments = ["plan", case / "labels.nii.gz", "--ct", case / "ct.nii.gz", "-o", tmp_path / "plan"]
    arguments += ["--surroundings", tmp_path / "aorta.nii.gz", "-q"]
    assert main.run([str(argument) for argument in arguments]) == 2
    assert "give the map of this CT" in capsys.readouterr().err


def test_a_phantom_comes_with_its_own_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = ["--size", "40,40,30", "--spacing-mm", "8,8,10", "--surroundings"]
    assert main.run(["phantom", "-o", str(tmp_path / "case"), *scan, "-q"]) == 0
    labels = read_label_source(tmp_path / "case" / "surroundings.seg.nrrd").labels
    truth = read_label_source(tmp_path / "case" / "labels.nii.gz").labels
    assert AORTA in labels.structures() and len(labels.structures()) > 10
    assert np.array_equal(np.where(truth.array > 0, labels.array, 0), truth.array)
    assert main.run(["phantom", "-o", str(tmp_path / "x"), "--into", "ct", "--liver", "l", "--surroundings"]) == 2
    assert "--surroundings has no meaning with --into" in capsys.readouterr().err
