# SPDX-License-Identifier: Apache-2.0
"""On a full disk every writer says so in one line and leaves nothing: a file that is there is whole."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.errors import WriteError
from liver_seg_ros.files.meshes import write_cloud, write_mesh
from liver_seg_ros.files.vessel_tree import write_vessel_tree
from liver_seg_ros.files.volumes import read_labels, read_volume, write_labels, write_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, VESSEL
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.vessel_tree import Branch, VesselTree
from liver_seg_ros.volume import LabelVolume, Volume

RNG = np.random.default_rng(0)
GRID = Geometry((64, 64, 40))
CT = Volume(RNG.integers(-1000, 1000, GRID.shape).astype(np.int16), GRID, "1.2.3")  # noise does not compress
LABELS = LabelVolume(RNG.integers(0, 4, GRID.shape).astype(np.uint8), GRID, "1.2.3")
POINTS = RNG.random((5000, 3)).astype(np.float32)
MESH = Mesh(LIVER, POINTS, RNG.integers(0, 5000, (5000, 3)).astype(np.int32), POINTS)
CLOUD = PointCloud(POINTS, POINTS, np.ones(5000, np.uint8))
TREE = VesselTree(
    POINTS.astype(np.float64), POINTS[:, 0].astype(np.float64), np.arange(5000) - 1, np.zeros(5000, np.int64),
    (Branch(number=0, parent=-1, tree=0, generation=0, structure=VESSEL, length_mm=1.0, radius_mm=1.0),),
)  # fmt: skip

WRITERS: dict[str, tuple[Callable[..., None], object]] = {
    "ct.nii": (write_volume, CT),
    "ct.nii.gz": (write_volume, CT),
    "ct.nrrd": (write_volume, CT),
    "ct.mha": (write_volume, CT),
    "labels.nii.gz": (write_labels, LABELS),
    "labels.seg.nrrd": (write_labels, LABELS),
    "liver.ply": (write_mesh, MESH),
    "liver.stl": (write_mesh, MESH),
    "liver.obj": (write_mesh, MESH),
    "liver.glb": (write_mesh, MESH),
    "cloud.ply": (write_cloud, CLOUD),
    "tree.vtp": (write_vessel_tree, TREE),
    "tree.json": (write_vessel_tree, TREE),
}


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """As on a full disk, writing more than `size` bytes fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_one_line_and_nothing_left(name: str, share: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write, what = WRITERS[name]
    write(tmp_path / name, what)
    whole = (tmp_path / name).read_bytes()
    capfd.readouterr()  # a file of the test runner's own
    path, limit = tmp_path / "new" / name, min(int(share * len(whole)), len(whole) - 1)
    # What libraries print goes to a file too, which is allowed to be as large.
    with no_file_above(limit), pytest.raises(WriteError) as raised:
        write(path, what)
    message = str(raised.value)
    assert message.startswith(f"{path}: cannot be written (") and "\n" not in message and ".partial" not in message
    assert capfd.readouterr() == ("", "")
    assert [file.name for file in tmp_path.rglob("*")] == [name]
    with no_file_above(limit), pytest.raises(WriteError):
        write(tmp_path / name, what)
    assert (tmp_path / name).read_bytes() == whole


@pytest.mark.parametrize("name", [name for name in WRITERS if name.startswith(("ct", "labels"))])
def test_a_whole_file_passes(name: str, tmp_path: Path) -> None:
    write, what = WRITERS[name]
    write(tmp_path / name, what)
    read = read_volume if isinstance(what, Volume) else read_labels
    assert np.array_equal(read(tmp_path / name).array, what.array)  # type: ignore[attr-defined]


def test_the_command_ends_with_1_and_leaves_nothing(tmp_path: Path) -> None:
    limit = "import resource, signal, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000,) * 2); "
    command = "from liver_seg_ros.cli.main import main; main()"
    words = ["phantom", "-o", str(tmp_path / "new" / "case"), "--size", "64,64,40", "--spacing-mm", "5,5,5", "-q"]
    done = subprocess.run(
        [sys.executable, "-c", limit + command, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == (
        f"liver-seg: {tmp_path}/new/case/ct.nii.gz: cannot be written (is the disk full?). "
        "Free some space or give another folder.\n"
    )
    assert list(tmp_path.iterdir()) == []
