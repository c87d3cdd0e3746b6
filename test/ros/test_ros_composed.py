# SPDX-License-Identifier: Apache-2.0
"""All nodes in one process, by reference inside and on every topic outside; and the plain subscriber of examples/."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.files.volumes import write_volume
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.volume import Volume

ROOT = Path(__file__).resolve().parents[2]


def run_subscriber(ros, out):
    return subprocess.run(
        [sys.executable, "examples/plain_subscriber.py", "--out", str(out), "--timeout", "120"],
        cwd=ROOT,
        env={**os.environ, "ROS_DOMAIN_ID": str(ros.domain)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.parametrize("own_source", [True, False], ids=["own-source", "source-in-another-process"])
def test_from_a_file_to_what_a_plain_subscriber_accepts(ros, models, ct, tmp_path, own_source):
    write_volume(tmp_path / "ct.nrrd", ct)
    ros.start("liver_seg", *([str(tmp_path / "ct.nrrd")] if own_source else []), models_dir=str(models))
    if not own_source:
        ros.start("ct_source", path=str(tmp_path / "ct.nrrd"))
    result = run_subscriber(ros, tmp_path / "arrived")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
    report = json.loads((tmp_path / "arrived" / "arrived.json").read_text())
    assert report["liver_found"]
    assert len(report["checks"]) > 10
    assert all(check["passed"] for check in report["checks"])
    arrived = np.load(tmp_path / "arrived" / "arrived.npz")
    np.testing.assert_array_equal(arrived["ct"], ct.array)
    np.testing.assert_array_equal(arrived["labels"], load_default_segmenter(models).segment(ct).labels.array)


def test_the_subscriber_ends_with_2_and_one_line_where_the_input_is_refused(ros, models, ct, tmp_path):
    write_volume(tmp_path / "empty.nrrd", Volume(np.zeros_like(ct.array), ct.geometry))
    ros.start("liver_seg", str(tmp_path / "empty.nrrd"), models_dir=str(models))
    result = run_subscriber(ros, tmp_path / "arrived")
    assert result.returncode == 2
    [line] = [line for line in result.stdout.splitlines() if line.startswith("error")]
    assert "empty.nrrd" in line
    assert not (tmp_path / "arrived").exists()
