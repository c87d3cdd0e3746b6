# SPDX-License-Identifier: Apache-2.0
"""The examples that need no ROS run as they stand, the notebook in a kernel of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from liver_seg_ros.files.volumes import read_labels

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOK = EXAMPLES / "from_ct_to_needle.ipynb"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    said = run("segment_and_measure.py", "-o", folder)
    assert "Volume(96 x 96 x 60 voxels" in said and "liver found" in said and "'liver': 0.9" in said
    return folder / "labels.nii.gz"


def test_labels_and_numbers(segmented: Path) -> None:
    assert read_labels(segmented).counts()["liver"] > 5000


def test_meshes_and_ways_for_a_needle(tmp_path: Path) -> None:
    said = run("plan_a_needle.py", "-o", tmp_path)
    assert "mm of it in the liver" in said and "mm to vessel" in said
    assert {path.name for path in tmp_path.iterdir()} == {"liver.ply", "tumor.ply", "vessel.ply"}


def test_a_case_of_ones_own(segmented: Path, tmp_path: Path) -> None:
    """What the first example wrote is what the second may be given."""
    said = run("plan_a_needle.py", segmented.with_name("ct.nii.gz"), segmented, "-o", tmp_path)
    assert "Answers(lesion 1" in said and (tmp_path / "liver.ply").is_file()


def test_the_notebook(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (make setup-dev)")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (make setup-dev)")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed (make setup-dev)")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are not kept"
    where = {"metadata": {"path": tmp_path}}
    nbclient.NotebookClient(notebook, timeout=250, kernel_name="python3", resources=where).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert any("mm clear of" in output.get("text", "") for output in outputs)
