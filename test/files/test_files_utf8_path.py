# SPDX-License-Identifier: Apache-2.0
"""Names of files that are no UTF-8, which Linux allows and ITK ends the process over."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.files.utf8_path import utf8_path
from liver_seg_ros.files.vessel_tree import read_vessel_tree, write_vessel_tree
from liver_seg_ros.files.volumes import read_labels, read_volume, write_labels, write_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.vessel_tree import EMPTY_TREE
from liver_seg_ros.volume import LabelVolume, Volume

BAD = os.fsdecode(b"M\xfcller")  # Latin-1
GRID = Geometry((12, 11, 10), (10.0, 10.0, 10.0))
VOXELS = 12 * 11 * 10


@pytest.fixture(params=[(BAD, "file"), ("folder", BAD), (BAD, BAD)], ids=["folder", "file", "both"])
def stem(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A path in a folder that is there, without a suffix."""
    folder, name = request.param
    (tmp_path / folder).mkdir()
    return tmp_path / folder / name


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_volumes_come_back(stem: Path, suffix: str) -> None:
    ct = Volume((np.arange(VOXELS, dtype=np.int16) - 500).reshape(GRID.shape), GRID, "1.2.3")
    path = stem.with_name(stem.name + suffix)
    write_volume(path, ct)
    assert np.array_equal(read_volume(path).array, ct.array)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd"])
def test_labels_come_back(stem: Path, suffix: str) -> None:
    labels = LabelVolume((np.arange(VOXELS) % 4).astype(np.uint8).reshape(GRID.shape), GRID, "1.2.3")
    path = stem.with_name(stem.name + suffix)
    write_labels(path, labels)
    assert np.array_equal(read_labels(path).array, labels.array)


def test_a_header_finds_the_data_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / BAD
    folder.mkdir()
    ct = np.arange(VOXELS, dtype="<i2") - np.int16(500)
    (folder / "ct.raw").write_bytes(ct.tobytes())
    (folder / "ct.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 12 11 10\nElementType = MET_SHORT\nElementSpacing = 10 10 10\n"
        "Offset = 0 0 0\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nElementByteOrderMSB = False\nElementDataFile = ct.raw\n"
    )
    assert np.array_equal(read_volume(folder / "ct.mhd").array.ravel(), ct)


@pytest.mark.parametrize("suffix", [".vtp", ".json"])
def test_vessel_trees_come_back(stem: Path, suffix: str) -> None:
    path = stem.with_name(stem.name + suffix)
    write_vessel_tree(path, EMPTY_TREE)
    assert len(read_vessel_tree(path).branches) == 0


def test_a_usual_name_is_left_alone(tmp_path: Path) -> None:
    with utf8_path(tmp_path / "Müller.nii.gz") as name:
        assert name == str(tmp_path / "Müller.nii.gz")


def test_the_link_has_the_suffixes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / f"{BAD}.1.nii.gz"
    path.write_text("x")
    with utf8_path(path) as name:
        assert name.endswith(".1.nii.gz") and Path(name).read_text() == "x"
    assert not os.path.lexists(name)
