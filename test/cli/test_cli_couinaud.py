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
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, PORTAL_VEIN, VENA_CAVA


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Voxels of 3 mm; the cava at (27, 33), hepatic veins in 20, 75 and 125 degrees from it, a portal fork below."""
    k, j, i = np.indices((44, 44, 56))
    at = np.stack([i, j, k], axis=-1)
    array = np.zeros(i.shape, np.uint8)
    array[((i - 26) / 25) ** 2 + ((j - 21) / 20) ** 2 + ((k - 22) / 20) ** 2 < 1] = LIVER.value

    def draw(start: tuple, end: tuple, radius: float, value: int) -> None:
        along = np.subtract(end, start)
        part = (((at - start) @ along) / (along @ along)).clip(0, 1)
        array[np.linalg.norm(at - start - part[..., None] * along, axis=-1) <= radius] = value

    for degrees in np.radians((20, 75, 125)):
        draw((27, 33, 37), (27 - 21 * np.cos(degrees), 33 - 21 * np.sin(degrees), 31), 1.6, HEPATIC_VEIN.value)
    for start, end in (((27, 24, 10), (26, 22, 19)), ((26, 22, 19), (10, 20, 21)), ((26, 22, 19), (42, 18, 23))):
        draw(start, end, 1.8, PORTAL_VEIN.value)
    array[(i - 27) ** 2 + (j - 36) ** 2 <= 6] = VENA_CAVA.value
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((3.0, 3.0, 3.0))
    path = tmp_path_factory.mktemp("couinaud") / "labels.nii.gz"
    SimpleITK.WriteImage(image, str(path))
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
