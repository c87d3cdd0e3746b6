# SPDX-License-Identifier: Apache-2.0
"""The node `planning_scene` over DDS, heard by a subscriber that keeps the scene as MoveIt does."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import Transition
from tf2_msgs.msg import TFMessage

from liver_seg_interfaces.msg import CollisionMeshQuality, StructureMesh, StructureMeshArray
from liver_seg_ros.labels import LIVER, VESSEL
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.nodes import qos
from liver_seg_ros.nodes.messages.meshes import mesh_to_shape
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.volume import LabelVolume

moveit = pytest.importorskip("moveit_msgs.msg", reason="moveit_msgs is not installed (make setup builds it)")
octomap = pytest.importorskip("octomap_msgs.msg", reason="octomap_msgs is not installed (make setup builds it)")


class Scene:
    """What MoveIt's planning scene does with diffs: nothing is kept of a message but its effect."""

    def __init__(self, ros):
        self.objects, self.colors, self.diffs, self._ros = {}, {}, 0, ros
        ros.node.create_subscription(moveit.PlanningScene, "planning_scene", self._apply, 10)  # volatile, as MoveIt's

    def _apply(self, scene):
        assert scene.is_diff and scene.robot_state.is_diff
        self.diffs += 1
        for changed in scene.world.collision_objects:
            if changed.operation == moveit.CollisionObject.REMOVE:
                self.objects.pop(changed.id, None)
                continue
            assert changed.operation == moveit.CollisionObject.ADD
            assert len(changed.meshes) == len(changed.mesh_poses) == 1 and changed.pose.orientation.w == 1.0
            self.objects[changed.id] = changed
        self.colors |= {color.id: color.color for color in scene.object_colors}

    def wait_for(self, *ids):
        self._ros.spin_until(lambda: self.objects.keys() == set(ids))


def box(structure, uid, edge_mm, margin_m=0.0042):
    """A collision mesh message of a box at the origin."""
    corners = np.array([(x, y, z) for x in (0, edge_mm) for y in (0, edge_mm) for z in (0, edge_mm)], np.float32)
    faces = [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6), (0, 2, 6),
             (0, 6, 4), (1, 5, 7), (1, 7, 3)]  # fmt: skip
    mesh = Mesh(structure, corners, np.array(faces, np.int32), np.zeros_like(corners))
    message = StructureMesh(volume_uid=uid, mesh=mesh_to_shape(mesh), watertight=True)
    message.header.frame_id = "ct_lps"
    message.measurement.structure = structure.name
    message.measurement.collision_mesh = [CollisionMeshQuality(margin_m=0.003, largest_distance_m=margin_m)]
    message.color.g = 0.5
    return message


def send(publisher, uid, *meshes):
    publisher.publish(StructureMeshArray(volume_uid=uid, meshes=list(meshes)))


def test_moveit_has_the_structures_of_the_latest_volume_and_no_others(ros):
    ros.start("planning_scene")
    meshes = ros.node.create_publisher(StructureMeshArray, "collision_meshes", qos.latched(1))
    tf = ros.node.create_publisher(TFMessage, "/tf_static", qos.latched(1))
    send(meshes, "first", box(LIVER, "first", 100.0), box(VESSEL, "first", 20.0))
    ros.wait_for_line("scene of volume first: liver, vessel")

    scene = Scene(ros)  # it comes late, and what was published is no use to a volatile subscriber
    scene.wait_for("ct_lps/liver", "ct_lps/vessel")
    liver = scene.objects["ct_lps/liver"]
    assert liver.header.frame_id == "ct_lps" and len(liver.meshes[0].triangles) == 12
    assert max(point.x for point in liver.meshes[0].vertices) == pytest.approx(0.1)
    assert json.loads(liver.type.db) == {"volume_uid": "first", "margin_m": 0.0042} and liver.type.key == "liver"
    assert scene.colors["ct_lps/vessel"].g == 0.5

    ros.spin_until(lambda: scene.diffs >= 1)
    before = scene.diffs
    moved = TransformStamped(child_frame_id="ct_lps")
    moved.header.frame_id, moved.transform.translation.x = "robot_base", 0.3
    tf.publish(TFMessage(transforms=[moved]))  # MoveIt puts objects where the frame is when they come
    ros.spin_until(lambda: scene.diffs > before)

    send(meshes, "second", box(LIVER, "second", 90.0))
    scene.wait_for("ct_lps/liver")
    assert json.loads(scene.objects["ct_lps/liver"].type.db)["volume_uid"] == "second"
    late = Scene(ros)
    late.wait_for("ct_lps/liver")
    assert ros.change_state("planning_scene", Transition.TRANSITION_DEACTIVATE)
    scene.wait_for()


def test_the_octomap_holds_the_labelled_cells(ros, ct):
    labels = LabelVolume((ct.array > 0).astype(np.uint8), ct.geometry, ct.uid)
    ros.start("planning_scene", octomap_resolution_m=0.005, octomap_structures="liver, vessel")
    maps, publisher = ros.latched(octomap.Octomap, "octomap"), ros.publisher("labels")
    for slab in volume_to_slabs(labels, 4, ros.node.get_clock().now().to_msg(), "zlib"):
        publisher.publish(slab)
    ros.spin_until(lambda: bool(maps))
    assert (maps[0].header.frame_id, maps[0].binary, maps[0].id) == ("ct_lps", True, "OcTree")
    assert maps[0].resolution == 0.005
    voxels = ct.geometry.index_to_ros(np.argwhere(labels.array)[:, ::-1])
    assert occupied(bytes(maps[0].data)) == {tuple(cell) for cell in np.floor(voxels / 0.005).astype(int).tolist()}


def occupied(data):
    """The cells of a binary tree, depth first as OctoMap reads it."""
    cells, rest = set(), iter(data)

    def node(corner, half):
        record, inner = next(rest) | next(rest) << 8, []
        for child in range(8):
            kind = (record >> 2 * child) & 3
            at = tuple(c + half * ((child >> axis) & 1) for axis, c in enumerate(corner))
            if kind == 3:
                inner.append(at)
            elif kind == 2:
                cells.update(itertools.product(*(range(c, c + half) for c in at)))
        for at in inner:
            node(at, half // 2)

    node((-32768,) * 3, 32768)
    return cells
