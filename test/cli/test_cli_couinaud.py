# SPDX-License-Identifier: Apache-2.0
"""`liver-seg couinaud` on a liver with three hepatic veins, a portal fork and a cava, drawn by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from liver_seg_ros.cli import main
from liver_seg_ros.files.itk import write_itk
from liver_seg_ros.labels import VENA_CAVA
from liver_seg_ros.volume import LabelVolume


@pytest.fixture(scope="module")
def labels(couinaud_liver: LabelVolume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("couinaud") / "labels.nii.gz"
    write_itk(path, couinaud_liver.array, couinaud_liver.geometry)
    return path


def test_segments_in_every_file(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["couinaud", str(labels), "-o", str(tmp_path), "--resect", "6,7", "--meshes"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "not validated on patients" in out and "vessels divided" not in out
    image = SimpleITK.ReadImage(str(tmp_path / "segments.seg.nrrd"))
    array = SimpleITK.GetArrayFromImage(image)
    assert {*np.unique(array)} == set(range(9))
    assert "277962002" in image.GetMetaData("Segment7_Tags")  # segment VIII
    _, j, i = np.indices(array.shape)
    front = (j < 20) & (array > 0)
    assert np.isin(array[front & (i > 44)], (2, 3)).all() and np.isin(array[front & (i < 7)], (5, 6, 7, 8)).all()
    rows = list(csv.DictReader((tmp_path / "segments.csv").open()))
    for row in rows:
        voxels = np.count_nonzero(array == int(row["value"]))
        assert float(row["volume_ml"]) == pytest.approx(voxels * 0.027, abs=1e-3)
    values = json.loads((tmp_path / "segments.json").read_text())
    left_ml = sum(float(row["volume_ml"]) for row in rows if row["segments"] not in ("6", "7"))
    assert values["resection"]["remnant_ml"] == pytest.approx(left_ml, abs=0.01) and not values["unknown"]
    assert len(list(tmp_path.glob("segment_*.stl"))) == 8


def test_without_a_cava_nothing_is_parted(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = SimpleITK.GetArrayFromImage(image := SimpleITK.ReadImage(str(labels)))
    array[array == VENA_CAVA.value] = 0
    bare = SimpleITK.GetImageFromArray(array)
    bare.CopyInformation(image)
    SimpleITK.WriteImage(bare, str(tmp_path / "bare.nii.gz"))
    assert main.run(["couinaud", str(tmp_path / "bare.nii.gz"), "-o", str(tmp_path / "out"), "-q"]) == 1
    assert "no vena cava is labelled" in capsys.readouterr().err
    values = json.loads((tmp_path / "out" / "segments.json").read_text())
    assert [part["segments"] for part in values["parts"]] == [[1, 2, 3, 4, 5, 6, 7, 8]]
    # A number that is no segment's is refused before anything is looked for, also where nothing can be parted.
    assert main.run(["couinaud", str(tmp_path / "bare.nii.gz"), "-o", str(tmp_path / "no"), "-q", "--resect", "9"]) == 2
    assert "segment 9 is not there: segments have the numbers 1 to 8" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
