# SPDX-License-Identifier: Apache-2.0
"""`liver-seg data check`: whole data sets pass, and each fault of a scan is told, with exit code 1."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tarfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from liver_seg_ros.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))  # tests are not importable from each other

from training_layouts import affine, ircadb, kvasir, lits, save, scene, values

SCALE = 1.8  # the scene's liver is a child's; with voxels so much wider it is an adult's


def healthy(folder: Path, count: int = 3) -> Path:
    """A data set of LiTS's layout without a fault: every scan is another."""
    for number in range(count):
        found = scene(affine())
        found["hu"][0, 0, 0] = number
        wide = affine() @ np.diag([SCALE, SCALE, SCALE, 1])
        save(folder / f"volume-{number}.nii", found["hu"], wide)
        save(folder / f"segmentation-{number}.nii", values(found, ("liver", 1), ("tumor", 2)), wide)
    return folder


def report(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict]:
    code = main.run(["data", "check", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def problems(found: dict) -> dict[str, str]:
    return {scan["subject"]: " ".join(scan["problems"]) for scan in found["scans"] if scan["problems"]}


def test_a_data_set_without_fault_is_told_with_sizes_labels_and_terms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = healthy(tmp_path / "data")
    code, found = report(capsys, folder)
    assert (code, found["problems"]) == (0, 0)
    assert found["data_sets"][0]["name"] == "lits17" and found["data_sets"][0]["license"]
    scan = found["scans"][1]
    assert (scan["subject"], scan["size"], scan["orientation"]) == ("volume-1", [32, 26, 16], "LPS")
    assert scan["spacing_mm"] == pytest.approx([4 * SCALE, 4 * SCALE, 5 * SCALE])
    stored = np.asarray(nibabel.load(folder / "segmentation-1.nii").dataobj)
    voxel_ml = 80 * SCALE**3 / 1000
    assert scan["volumes_ml"]["tumor"] == pytest.approx(np.count_nonzero(stored == 2) * voxel_ml, rel=1e-4)
    assert scan["volumes_ml"]["liver"] == pytest.approx(np.count_nonzero(stored) * voxel_ml, rel=1e-4)
    assert main.run(["data", "check", str(folder), "-o", str(tmp_path / "looked")]) == 0
    shown = capsys.readouterr().out
    assert "volume-2" in shown and "32 x 26 x 16" in shown and "license of the data" in shown
    rows = list(csv.DictReader((tmp_path / "looked" / "data.csv").read_text().splitlines()))
    assert [row["subject"] for row in rows] == ["volume-0", "volume-1", "volume-2"]
    assert float(rows[1]["tumor_ml"]) == pytest.approx(scan["volumes_ml"]["tumor"])
    assert json.loads((tmp_path / "looked" / "data.json").read_text()) == found


def test_each_fault_is_told_and_the_exit_code_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = healthy(tmp_path / "data", 8)
    (folder / "segmentation-0.nii").unlink()
    (folder / "volume-1.nii").write_bytes((folder / "volume-1.nii").read_bytes()[:2000])
    shutil.copy(folder / "volume-2.nii", folder / "volume-3.nii")
    labels = nibabel.load(folder / "segmentation-4.nii")
    moved = labels.affine.copy()
    moved[0, 3] += 30
    save(folder / "segmentation-4.nii", np.array(labels.get_fdata(), np.uint8), moved)
    everywhere = np.ones(labels.shape, np.uint8)
    save(folder / "segmentation-5.nii", everywhere, labels.affine)
    save(folder / "segmentation-6.nii", everywhere * np.uint8(9), labels.affine)
    for name in ("volume", "segmentation"):
        image = nibabel.load(folder / f"{name}-7.nii")
        save(folder / f"{name}-7.nii", np.array(image.get_fdata(), np.int16), np.eye(4))
    code, found = report(capsys, folder)
    told = problems(found)
    assert code == 1
    assert [*told] == [f"volume-{n}" for n in (0, 1, 3, 4, 5, 6, 7)] and found["problems"] == 7
    expected = {
        0: "there is no segmentation-0.nii",
        1: "volume-1.nii",
        3: "the very voxels of volume-2",
        4: "its grid is not the CT's",
        5: "Its liver has 6211 ml, above 4000 ml. What is labelled as liver has -80 HU",
        6: "label values 9",
        7: "Its liver has 2 ml, below 500 ml. Its voxels are said to be 1 x 1 x 1 mm",
    }
    assert all(words in told[f"volume-{number}"] for number, words in expected.items())


def test_a_scan_that_two_data_sets_share_is_found_whatever_its_header_and_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As 3D-IRCADb's patients are in LiTS, with other axes and another spacing."""
    code, found = report(capsys, lits(tmp_path / "lits", 1), ircadb(tmp_path / "ircadb", 1))
    assert code == 1
    assert "the very voxels of lits17 volume-0" in problems(found)["3Dircadb1.1"]


def test_pictures_and_a_layout_that_is_told_by_the_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = report(capsys, kvasir(tmp_path, 2))
    assert (code, [scan["size"] for scan in found["scans"]]) == (0, [[64, 48], [64, 48]])
    assert main.run(["data", "check", str(tmp_path), "--layout", "lits17"]) == 2
    assert "holds nothing of LiTS17" in capsys.readouterr().err
    assert main.run(["data", "check", str(tmp_path / "images")]) == 2
    assert "has the layout of no data set" in capsys.readouterr().err


def test_the_real_layout_of_3d_ircadb_is_read(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight slices of the real patient, its masks as they are named: a layout, no statement about the patient."""
    archive = shared_data / "ircadb01_17" / "original_dicom.tar.gz"
    if not archive.is_file():
        pytest.skip("the real patient of 3D-IRCADb is not in the shared data")
    wanted = {f"image_{k}" for k in range(56, 64)}
    parts = {"PATIENT_DICOM", "liver", "livertumor1", "portalvein", "venoussystem", "skin"}
    with tarfile.open(archive) as files:
        inside = [f for f in files if Path(f.name).name in wanted and Path(f.name).parent.name in parts]
        files.extractall(tmp_path / "3Dircadb1.17", inside, filter="data")
    code, found = report(capsys, tmp_path)
    (scan,) = found["scans"]
    assert (code, scan["subject"], scan["size"], scan["orientation"]) == (1, "3Dircadb1.17", [512, 512, 8], "LPS")
    assert {*scan["volumes_ml"]} == {"liver", "tumor", "vessel"}
    assert 100 < scan["volumes_ml"]["liver"] < 300 and 1 < scan["volumes_ml"]["vessel"] < 20
    assert problems(found)["3Dircadb1.17"].startswith("Its liver has ")  # 13 mm of one
