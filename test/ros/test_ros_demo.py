# SPDX-License-Identifier: Apache-2.0
"""`make demo` on a small CT: three processes, files from what arrived, exit codes, and nothing left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.files.volumes import read_labels, read_volume, write_labels, write_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.volume import LabelVolume, Volume

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def demo(models, tmp_path):
    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "tools/demo.py", "--out", str(tmp_path / "out"), *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "LIVER_SEG_MODELS": str(models)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_a_synthetic_ct_gives_every_file_and_dice(demo, models, ct, tmp_path, processes_that_mention):
    folder = tmp_path / "phantom"
    folder.mkdir()
    # As `liver-seg phantom` writes them: the description beside the CT says that it is synthetic.
    write_volume(folder / "ct.nii.gz", ct)
    truth = np.select([ct.array == 60, ct.array == 140, ct.array == 220], [1, 2, 3]).astype(np.uint8)
    write_labels(folder / "labels.nii.gz", LabelVolume(truth, ct.geometry))
    (folder / "vessels.json").write_text(json.dumps({"ct": "ct.nii.gz", "labels": "labels.nii.gz"}))
    process = demo(folder / "ct.nii.gz", "--timeout", "200")
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, output + errors
    assert "synthetic" in output

    results = tmp_path / "out" / "phantom_ct"
    expected = load_default_segmenter(models).segment(read_volume(folder / "ct.nii.gz")).labels
    for name in ("labels.nii.gz", "labels.seg.nrrd"):
        np.testing.assert_array_equal(read_labels(results / name).array, expected.array)
    names = {path.name for path in results.iterdir()}
    assert {f"{name}.{suffix}" for name in ("liver", "tumor", "vessel") for suffix in ("ply", "glb")} <= names
    assert (results / "scene.png").stat().st_size > 10_000
    assert (results / "overlay.png").stat().st_size > 1_000
    report = json.loads((results / "report.json").read_text())
    assert report["synthetic"] is True
    assert report["liver_found"] is True
    assert report["dice"]["liver"] > 0.95
    assert report["structures"]["liver"]["collision_mesh"]["margin_mm"] == 3.0
    [lesion] = report["structures"]["tumor"]["parts"]
    assert lesion["diameter_uncertainty_mm"] == round(float(np.linalg.norm(ct.geometry.spacing_mm)), 2)
    assert lesion["to_vessel"]["structure"] == "vessel" and lesion["axial"]["long_mm"] > lesion["axial"]["short_mm"] > 0
    [small, searched] = report["warnings"]  # each once, though both nodes warn of the first
    assert (small["code"], small["level"], small["structure"]) == ("liver_small", "doubt", "liver")
    assert searched["code"] == "whole_ct_searched" and f"{small['message']} [liver_small]" in " ".join(output.split())
    assert {"ct over DDS", "labels over DDS", "meshes over DDS"} <= report["seconds"].keys()
    assert processes_that_mention(str(folder)) == []
    assert {"liver_seg.log", "ct_source.log", "plain_subscriber.log", ".liver-seg.json"} <= names


def test_neither_an_input_nor_what_someone_else_wrote_is_replaced(demo, tmp_path):
    """The results' folder is named after the CT: here it is the DICOM folder itself, and then someone's own."""
    dicom = tmp_path / "out" / "patient"
    dicom.mkdir(parents=True)
    (dicom / "1.dcm").write_bytes(b"a slice")
    _, errors = (process := demo(dicom)).communicate(timeout=60)
    assert process.returncode == 2 and errors.count("\n") == 1 and "is an input of this run" in errors
    (tmp_path / "case.nrrd").write_bytes(b"a CT")
    mine = tmp_path / "out" / "case" / "report.json"
    mine.parent.mkdir()
    mine.write_text("mine")
    _, errors = (process := demo(tmp_path / "case.nrrd")).communicate(timeout=60)
    assert process.returncode == 2 and "report.json' was not written by 'demo'" in errors and "--out" in errors
    assert mine.read_text() == "mine" and (dicom / "1.dcm").read_bytes() == b"a slice"


def test_a_one_slice_ct_is_one_line_and_exit_code_2(demo, tmp_path, processes_that_mention):
    write_volume(tmp_path / "flat.nrrd", Volume(np.zeros((1, 64, 64), np.int16), Geometry((64, 64, 1))))
    process = demo(tmp_path / "flat.nrrd", "--timeout", "60")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    [line] = errors.splitlines()
    assert "flat.nrrd" in line
    assert processes_that_mention(str(tmp_path)) == []


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_outlives_a_demo_that_is_killed(demo, ct, tmp_path, number, processes_that_mention):
    write_volume(tmp_path / "ct.nrrd", ct)
    process = demo(tmp_path / "ct.nrrd", "--timeout", "60")
    deadline = time.monotonic() + 60
    while len(processes_that_mention(str(tmp_path / "ct.nrrd"))) < 2:  # the demo itself and ct_source
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=30)
    deadline = time.monotonic() + 15
    while processes_that_mention(str(tmp_path)):
        assert time.monotonic() < deadline, processes_that_mention(str(tmp_path))
        time.sleep(0.05)
