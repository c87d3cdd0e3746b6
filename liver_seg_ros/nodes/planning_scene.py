# SPDX-License-Identifier: Apache-2.0
"""The node `planning_scene`: collision meshes for MoveIt, and an octomap, where their messages are installed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from liver_seg_interfaces.msg import StructureMesh, StructureMeshArray
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.checks import check_labels
from liver_seg_ros.labels import STRUCTURES, structures_named
from liver_seg_ros.nodes.messages.assembler import Assembled
from liver_seg_ros.nodes.parameter_tables import PLANNING_SCENE
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.volume_input import VolumeInput
from liver_seg_ros.progress import Cancelled, raise_if_cancelled
from liver_seg_ros.reconstruction.octree import occupied_cells
from liver_seg_ros.volume import LabelVolume

_CHECK_PERIOD_S = 1.0
_NO_CELLS = np.zeros((0, 3), np.int64)


class PlanningSceneNode(StageNode):
    """Publishes `planning_scene` with what came on `collision_meshes`, and `octomap` with what came on `labels`.

    MoveIt puts an object where its frame is at that moment, and knows nothing that was published before it came: both
    are made up for by publishing the scene again.

    Args:
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__("planning_scene", PLANNING_SCENE, **kwargs)
        self._labels_input = VolumeInput(self, "labels", np.uint8, self._on_labels)
        self._scene: Publisher | None = None
        self._octomap: Publisher | None = None
        self._meshes: list[StructureMesh] = []
        self._gone: set[str] = set()  # objects that MoveIt may still have
        self._listeners = 0
        self._place: object = None  # of the CT's frame, as TF told it last
        self._due = False
        self._subscriptions_: list[Subscription] = []
        self._timer: Timer | None = None

    def configure(self) -> None:
        has_moveit, has_octomap = (find_spec(name) is not None for name in ("moveit_msgs", "octomap_msgs"))
        if not (has_moveit or has_octomap):
            packages = "ros-<distribution>-moveit-msgs or ros-<distribution>-octomap-msgs"
            raise InputError(f"neither moveit_msgs nor octomap_msgs is installed; install {packages}")
        if has_moveit:
            from moveit_msgs.msg import PlanningScene

            self._scene = self.create_lifecycle_publisher(PlanningScene, "planning_scene", latched(1))
        if has_octomap:
            from octomap_msgs.msg import Octomap

            self._octomap = self.create_lifecycle_publisher(Octomap, "octomap", latched(1))

    def activate(self) -> None:
        if self._scene is not None:
            self._subscriptions_ = [
                self.create_subscription(StructureMeshArray, "collision_meshes", self._on_meshes, latched(1)),
                self.create_subscription(TFMessage, "/tf_static", self._on_transforms, latched(100)),
            ]
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = self.create_timer(_CHECK_PERIOD_S, self._publish_again, clock=steady)
        if self._octomap is not None:
            self._labels_input.open()
        self.diagnostics.say("waiting for collision meshes" if self._scene is not None else "waiting for labels")

    def deactivate(self) -> None:
        for subscription in self._subscriptions_:
            self.destroy_subscription(subscription)
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        self._subscriptions_, self._place = [], None
        self._labels_input.close()
        if self._scene is not None and self._meshes:
            self._take([])
        if self._octomap is not None:
            self._publish_cells(_NO_CELLS, self.get_parameter("octomap_resolution_m").value)

    def cleanup(self) -> None:
        for publisher in filter(None, (self._scene, self._octomap)):
            self.destroy_lifecycle_publisher(publisher)
        self._scene, self._octomap, self._gone = None, None, set()

    def _on_meshes(self, array: StructureMeshArray) -> None:
        self._take([mesh for mesh in array.meshes if mesh.mesh.triangles])
        names = ", ".join(mesh.measurement.structure for mesh in self._meshes) or "nothing"
        self.diagnostics.say(f"scene of volume {array.volume_uid}: {names}", last_volume=array.volume_uid)

    def _take(self, meshes: list[StructureMesh]) -> None:
        """These meshes are what there is now."""
        from liver_seg_ros.nodes.messages.planning_scenes import object_id

        before = {object_id(mesh) for mesh in self._meshes}
        self._meshes = meshes
        self._gone = (self._gone | before) - {object_id(mesh) for mesh in meshes}
        self._publish_scene()

    def _publish_scene(self) -> None:
        from liver_seg_ros.nodes.messages.planning_scenes import scene_diff

        assert self._scene is not None
        self._due = False
        self._scene.publish(scene_diff(self._meshes, sorted(self._gone), self._header()))

    def _on_transforms(self, message: TFMessage) -> None:
        """Where the CT's frame has moved, the scene is due again: after a while, as MoveIt has to hear of it first."""
        for stamped in message.transforms:
            place = (stamped.header.frame_id, stamped.transform)
            if stamped.child_frame_id == self.ct_frame and place != self._place:
                self._place, self._due = place, True

    def _publish_again(self) -> None:
        assert self._scene is not None
        listeners, before = self._scene.get_subscription_count(), self._listeners
        self._listeners = listeners
        if (self._due or listeners > before) and (self._meshes or self._gone):
            self._publish_scene()

    def _on_labels(self, assembled: Assembled) -> None:
        labels = LabelVolume(assembled.array, assembled.geometry, assembled.uid)
        self.worker.submit(partial(self._map, labels))

    def _map(self, labels: LabelVolume, cancelled: Cancelled) -> None:
        check_labels(labels, f"volume {labels.uid}")
        resolution_m = self.get_parameter("octomap_resolution_m").value
        cells = occupied_cells(labels, self._structures(), resolution_m)
        raise_if_cancelled(cancelled, "mapping")
        self._publish_cells(cells, resolution_m)
        self.diagnostics.conclude(f"octomap of volume {labels.uid}: {len(cells)} cells", last_volume=labels.uid)

    def _publish_cells(self, cells: np.ndarray, resolution_m: float) -> None:
        from liver_seg_ros.nodes.messages.octomaps import cells_to_octomap

        publisher = self._octomap
        if publisher is not None:  # None: withdrawn while the work was being cancelled
            publisher.publish(cells_to_octomap(cells, resolution_m, self._header()))

    def _structures(self) -> np.ndarray:
        """Values of the labels that the octomap holds."""
        rows = structures_named(str(self.get_parameter("octomap_structures").value)) or STRUCTURES
        return np.array([row.value for row in rows], np.uint8)

    def _header(self) -> Header:
        return Header(stamp=self.get_clock().now().to_msg(), frame_id=self.ct_frame)


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [PlanningSceneNode()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
