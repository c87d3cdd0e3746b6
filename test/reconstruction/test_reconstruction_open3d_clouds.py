# SPDX-License-Identifier: Apache-2.0
"""Clouds through Open3D and back, of both kinds, and what is refused."""

from __future__ import annotations

import numpy as np
import open3d
import pytest

from liver_seg_ros.files.meshes import write_cloud
from liver_seg_ros.files.open3d_clouds import from_open3d, to_open3d
from liver_seg_ros.labels import LIVER, STRUCTURES, TUMOR
from liver_seg_ros.mesh import PointCloud

COUNT = 5 * len(STRUCTURES)


@pytest.fixture
def cloud() -> PointCloud:
    """Points of every row of the label table."""
    random = np.random.default_rng(0)
    normals = random.normal(size=(COUNT, 3))
    return PointCloud(
        random.uniform(-500, 500, (COUNT, 3)).astype(np.float32),
        (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32),
        np.tile([row.value for row in STRUCTURES], 5).astype(np.uint8),
    )


def same(one: PointCloud, other: PointCloud) -> bool:
    return (
        np.array_equal(one.points_mm, other.points_mm)
        and np.allclose(one.normals, other.normals, atol=1e-6)
        and np.array_equal(one.labels, other.labels)
        and [a.dtype for a in vars(one).values()] == [a.dtype for a in vars(other).values()]
    )


def test_a_cloud_comes_back_as_it_went(cloud):
    there = to_open3d(cloud)
    assert (
        there.point.positions.shape[0] == COUNT and there.point.label.numpy().ravel().tolist() == cloud.labels.tolist()
    )
    assert there.point.colors.numpy()[1] * 255 == pytest.approx(TUMOR.color_rgb)
    assert same(from_open3d(there), cloud)


def test_the_older_kind_tells_labels_by_color(cloud):
    assert same(from_open3d(to_open3d(cloud).to_legacy()), cloud)


@pytest.mark.parametrize("suffix", [".ply", ".pcd"])
def test_a_cloud_comes_back_from_a_file_of_open3d(cloud, tmp_path, suffix):
    path = str(tmp_path / f"cloud{suffix}")
    assert open3d.t.io.write_point_cloud(path, to_open3d(cloud))
    assert same(from_open3d(open3d.t.io.read_point_cloud(path)), cloud)


def test_the_file_that_this_package_writes_is_read(cloud, tmp_path):
    write_cloud(tmp_path / "cloud.ply", cloud)
    assert same(from_open3d(open3d.t.io.read_point_cloud(str(tmp_path / "cloud.ply"))), cloud)
    assert same(from_open3d(open3d.io.read_point_cloud(str(tmp_path / "cloud.ply"))), cloud)


def test_what_open3d_changes_leaves_the_cloud_alone(cloud):
    before = cloud.points_mm.copy()
    to_open3d(cloud).translate(np.array([1.0, 0, 0], np.float32))
    assert np.array_equal(cloud.points_mm, before)


def test_no_points_are_a_cloud_too():
    empty = PointCloud(np.empty((0, 3), np.float32), np.empty((0, 3), np.float32), np.empty(0, np.uint8))
    assert same(from_open3d(to_open3d(empty)), empty)
    assert same(from_open3d(open3d.geometry.PointCloud()), empty)


def test_a_cloud_of_a_camera_belongs_to_what_it_is_said_to_show(cloud):
    seen = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(cloud.points_mm))
    with pytest.raises(ValueError, match="no normals"):
        from_open3d(seen, LIVER)
    seen.normals = open3d.utility.Vector3dVector(3.0 * cloud.normals)
    with pytest.raises(ValueError, match="neither by labels nor by colors"):
        from_open3d(seen)
    named = from_open3d(seen, LIVER)
    assert set(named.labels) == {LIVER.value} and np.linalg.norm(named.normals, axis=1) == pytest.approx(1, abs=1e-6)
    seen.paint_uniform_color([0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match=r"the color \(128, 128, 128\)"):
        from_open3d(seen)
    seen.normals[3] = [0, 0, 0]
    with pytest.raises(ValueError, match="normals of no direction"):
        from_open3d(seen, LIVER)
    seen.points[3] = [np.nan, 0, 0]
    with pytest.raises(ValueError, match="not finite"):
        from_open3d(seen, LIVER)


def test_labels_that_the_table_has_not_are_refused(cloud):
    with pytest.raises(ValueError, match=r"labels \[200\]"):
        from_open3d(to_open3d(PointCloud(cloud.points_mm, cloud.normals, np.full(95, 200, np.uint8))))
