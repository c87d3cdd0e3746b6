# SPDX-License-Identifier: Apache-2.0
"""The node `reconstruction` as a process: what a late subscriber gets, nothing to show, bad labels, bad parameters."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from liver_seg_interfaces.msg import StructureMeshArray, VesselTree
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.volume import LabelVolume


@pytest.fixture(scope="module")
def labels(ct):
    values = np.select([ct.array == 60, ct.array == 140, ct.array == 220], [1, 2, 3]).astype(np.uint8)
    return LabelVolume(values, ct.geometry, ct.uid)


def publish(ros, publisher, labels):
    stamp = ros.node.get_clock().now().to_msg()
    for slab in volume_to_slabs(labels, 4, stamp):
        publisher.publish(slab)
    return stamp


def vertices(mesh):
    return np.array([(p.x, p.y, p.z) for p in mesh.mesh.vertices])


def test_a_late_subscriber_gets_meshes_markers_cloud_and_frame(ros, labels):
    ros.start("reconstruction", parent_frame="robot_base", translation_m=[0.1, 0.2, 0.3])
    publish(ros, ros.publisher("labels"), labels)
    ros.wait_for_line("/reconstruction 1", "surfaces of", "; warnings: liver_small")  # it has 0.25 l

    meshes, markers = ros.latched(StructureMeshArray, "meshes"), ros.latched(MarkerArray, "markers")
    clouds, frames = ros.latched(PointCloud2, "cloud"), ros.latched(TFMessage, "/tf_static")
    ros.spin_until(lambda: meshes and markers and clouds and frames)

    assert [mesh.measurement.structure for mesh in meshes[0].meshes] == ["liver", "tumor", "vessel"]
    for mesh in meshes[0].meshes:
        assert mesh.header.frame_id == "ct_lps"
        assert mesh.watertight
        index = labels.geometry.ros_to_index(vertices(mesh))
        inside = np.argwhere(labels.array > 0)[:, ::-1] if mesh.measurement.label == 1 else None
        inside = np.argwhere(labels.array == mesh.measurement.label)[:, ::-1] if inside is None else inside
        np.testing.assert_allclose(index.min(axis=0), inside.min(axis=0), atol=2.0)
        np.testing.assert_allclose(index.max(axis=0), inside.max(axis=0), atol=2.0)

    first, *drawn = markers[0].markers
    assert first.action == Marker.DELETEALL
    assert {marker.ns: len(marker.points) for marker in drawn} == {
        mesh.measurement.structure: 3 * len(mesh.mesh.triangles) for mesh in meshes[0].meshes
    }
    cloud = np.frombuffer(clouds[0].data, "<f4").reshape(clouds[0].width, -1)
    assert [field.name for field in clouds[0].fields] == [
        "x", "y", "z", "normal_x", "normal_y", "normal_z", "rgb", "label",
    ]  # fmt: skip
    assert set(np.unique(cloud[:, 7].copy().view("<u4")).tolist()) == {1, 2, 3}
    np.testing.assert_allclose(np.linalg.norm(cloud[:, 3:6], axis=1), 1, atol=1e-3)
    [transform] = frames[0].transforms
    assert (transform.header.frame_id, transform.child_frame_id) == ("robot_base", "ct_lps")
    assert transform.transform.translation.z == pytest.approx(0.3)


def test_collision_meshes_are_around_the_meshes(ros, labels):
    ros.start("reconstruction", collision_margin_m=0.004)
    stamp = publish(ros, ros.publisher("labels"), labels)
    ros.wait_for_line("/reconstruction 1", "surfaces of", "; warnings: liver_small")  # it has 0.25 l
    meshes = ros.latched(StructureMeshArray, "meshes")
    collisions = ros.latched(StructureMeshArray, "collision_meshes")
    ros.spin_until(lambda: meshes and collisions)

    assert collisions[0].volume_uid == labels.uid
    said = [part.header.stamp for array in (meshes[0], collisions[0]) for part in (array, *array.meshes)]
    assert len(said) == 8 and all(each == stamp for each in said)  # as StructureMeshArray.msg has it
    for mesh, collision in zip(meshes[0].meshes, collisions[0].meshes, strict=True):
        assert collision.measurement.structure == mesh.measurement.structure
        assert collision.watertight
        assert len(collision.mesh.triangles) <= 20_000
        wider = vertices(collision).max(axis=0) - vertices(mesh).max(axis=0)
        assert (wider > 0).all() and (wider < 0.004).all()


def test_the_vessels_arrive_as_a_tree_and_as_lines(ros, labels):
    ros.start("reconstruction")
    publish(ros, ros.publisher("labels"), labels)
    ros.wait_for_line("/reconstruction 1", "surfaces of", "; warnings: liver_small")  # it has 0.25 l
    trees, markers = ros.latched(VesselTree, "vessel_tree"), ros.latched(MarkerArray, "vessel_tree_markers")
    ros.spin_until(lambda: trees and markers)

    tree = trees[0]
    assert (tree.header.frame_id, tree.volume_uid) == ("ct_lps", labels.uid)
    [branch] = tree.branches  # the rod of conftest.py: radius 8 mm, 28 mm long, along i through j = 54 mm, k = 62 mm
    assert (branch.parent, branch.generation, branch.structure, branch.label) == (-1, 0, "vessel", 3)
    assert branch.radius_m == pytest.approx(0.008, rel=0.1)
    points = np.array([(point.x, point.y, point.z) for point in tree.points])
    np.testing.assert_allclose(
        labels.geometry.ros_to_index(points)[:, 1:], [[54 / 2.5, 62 / 3.0]] * len(points), atol=0.5
    )
    assert branch.length_m == pytest.approx(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
    assert tree.parent.tolist() == list(range(-1, len(points) - 1))
    assert set(tree.branch) == {0}
    assert len(tree.radius_m) == len(points)

    first, lines = markers[0].markers
    assert first.action == Marker.DELETEALL
    assert (lines.ns, lines.type, lines.header.frame_id) == ("vessel", Marker.LINE_LIST, "ct_lps")
    assert len(lines.points) == len(lines.colors) == 2 * (len(points) - 1)


def test_points_say_how_far_they_are_from_the_tumor(ros, labels):
    ros.start("reconstruction")
    publish(ros, ros.publisher("labels"), labels)
    clouds = ros.latched(PointCloud2, "clearance_cloud")
    ros.spin_until(lambda: clouds)
    points = np.frombuffer(clouds[0].data, [(field.name, "<f4") for field in clouds[0].fields])
    tumor = labels.geometry.index_to_ros(np.argwhere(labels.array == 2)[:, ::-1])
    places = np.stack([points["x"], points["y"], points["z"]], axis=1)
    to_voxels = np.linalg.norm(places[:, None] - tumor, axis=2).min(axis=1)
    voxel_m = max(labels.geometry.spacing_mm) / 1000
    outside = points["clearance"] > 0
    np.testing.assert_allclose(points["clearance"][outside], to_voxels[outside], atol=1.5 * voxel_m)
    assert to_voxels[~outside].max(initial=0) < voxel_m
    assert points["clearance"].max() > 5 * voxel_m


def test_no_liver_removes_the_old_markers_and_bad_labels_are_survived(ros, labels):
    ros.start("reconstruction")
    publisher, markers = ros.publisher("labels"), ros.latched(MarkerArray, "markers")
    ros.wait_for_line("/reconstruction 0", "waiting for labels")
    publish(ros, publisher, labels)
    ros.spin_until(lambda: len(markers) == 1)
    unknown = LabelVolume(np.full((4, 5, 6), 77, np.uint8), Geometry((6, 5, 4)), "unknown-value")
    publish(ros, publisher, unknown)
    ros.wait_for_line("/reconstruction 2", "unknown-value holds the value 77")
    in_metres = Geometry(labels.geometry.size, tuple(mm / 1000 for mm in labels.geometry.spacing_mm))
    publish(ros, publisher, LabelVolume(labels.array, in_metres, "too-small"))
    ros.wait_for_line("/reconstruction 2", "volume too-small: voxels of", "the spacing is in metres")
    empty = LabelVolume(np.zeros_like(labels.array), labels.geometry, "no-liver")
    publish(ros, publisher, empty)
    ros.spin_until(lambda: len(markers[-1].markers) == 1)
    assert markers[-1].markers[0].action == Marker.DELETEALL


def test_a_parameter_that_is_no_transform_is_said(ros):
    ros.start("reconstruction", rotation_xyzw=[1.0, 1.0, 0.0, 0.0])
    ros.wait_for_line("/reconstruction 2", "unit quaternion")
    assert ros.state("reconstruction") == "unconfigured"
