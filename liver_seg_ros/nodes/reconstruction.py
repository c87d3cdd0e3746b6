"""The node `reconstruction`: takes labels from the topic `labels` and publishes surfaces, points and vessels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

from liver_seg_interfaces.msg import StructureMeshArray, VesselTree
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.checks import check_labels
from liver_seg_ros.geometry import MM_PER_M
from liver_seg_ros.labels import STRUCTURES, TUMOR
from liver_seg_ros.nodes.frames import StaticFrame
from liver_seg_ros.nodes.messages.assembler import Assembled
from liver_seg_ros.nodes.messages.clouds import clearance_to_message, cloud_to_message
from liver_seg_ros.nodes.messages.meshes import meshes_to_array, meshes_to_markers
from liver_seg_ros.nodes.messages.placing import placed
from liver_seg_ros.nodes.messages.vessels import tree_to_markers, tree_to_message
from liver_seg_ros.nodes.parameter_tables import RECONSTRUCTION
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.reporting import Reporting
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.volume_input import VolumeInput
from liver_seg_ros.nodes.volume_report import VolumeReport
from liver_seg_ros.plausibility.judgment import plausibility_warnings
from liver_seg_ros.progress import Cancelled, raise_if_cancelled
from liver_seg_ros.reconstruction.meshes.clearance_cloud import clearance_cloud
from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct
from liver_seg_ros.volume import LabelVolume

_TOPICS = {
    "meshes": StructureMeshArray,
    "collision_meshes": StructureMeshArray,
    "markers": MarkerArray,
    "cloud": PointCloud2,
    "clearance_cloud": PointCloud2,
    "vessel_tree": VesselTree,
    "vessel_tree_markers": MarkerArray,
}


class ReconstructionNode(StageNode):
    """Reconstructs each label volume that arrives; a new one cancels the work on the one before.

    Args:
        subscribe: False where a segmentation in the same process calls `accept`, so that no labels cross DDS.
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(self, subscribe: bool = True, **kwargs: object) -> None:
        super().__init__("reconstruction", RECONSTRUCTION, **kwargs)
        self._reporting = Reporting(self)
        self._input = VolumeInput(self, "labels", np.uint8, self._on_assembled, self._reporting) if subscribe else None
        self._frame = StaticFrame(self)
        self._outputs: dict[str, Publisher] = {}

    def parameters_changed(self, changed: Mapping[str, Any]) -> None:
        self._frame.parameters_changed(changed)

    def configure(self) -> None:
        self._frame.open()
        self._reporting.open()
        # One latched message each: RViz freezes when large markers are sent again and again.
        self._outputs = {
            topic: self.create_lifecycle_publisher(kind, topic, latched(1)) for topic, kind in _TOPICS.items()
        }

    def activate(self) -> None:
        if self._input is not None:
            self._input.open()
        self.diagnostics.say("waiting for labels")

    def deactivate(self) -> None:
        if self._input is not None:
            self._input.close()

    def cleanup(self) -> None:
        self._frame.close()
        self._reporting.close()
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs = {}

    def accept(self, labels: LabelVolume) -> None:
        """Reconstruct `labels` next. Returns at once; safe from any thread."""
        self._reporting.take_up(labels.uid, "reconstructing", partial(self._reconstruct, labels))

    def _on_assembled(self, assembled: Assembled) -> None:
        self.accept(LabelVolume(assembled.array, assembled.geometry, assembled.uid))

    def _reconstruct(self, labels: LabelVolume, report: VolumeReport, cancelled: Cancelled) -> None:
        uid, outputs = labels.uid, self._outputs
        _check_values(labels)
        check_labels(labels, f"volume {labels.uid}")
        result = reconstruct(labels, self._options(), self._reporting.progress(uid), cancelled)
        tumor = next((mesh for mesh in result.meshes if mesh.structure == TUMOR), None)
        stamp = self.get_clock().now().to_msg()
        messages = {
            "meshes": meshes_to_array(result.meshes, result.measurements, uid, stamp),
            "collision_meshes": meshes_to_array(result.collision_meshes, result.measurements, uid, stamp),
            "markers": meshes_to_markers(result.meshes, stamp),
            "cloud": cloud_to_message(result.cloud, stamp),
            "clearance_cloud": clearance_to_message(clearance_cloud(result.cloud, tumor), stamp),
            "vessel_tree": tree_to_message(result.tree, uid, stamp),
            "vessel_tree_markers": tree_to_markers(result.tree, stamp),
        }
        raise_if_cancelled(cancelled, "publishing")
        for topic, publisher in outputs.items():
            publisher.publish(placed(messages[topic], self.ct_frame))
        names = ", ".join(mesh.structure.name for mesh in result.meshes) or "nothing"
        summary = f"surfaces of {names} in volume {uid}"
        warnings = plausibility_warnings(labels, result.measurements)
        self._reporting.end_measured(
            report, bool(result.meshes), summary, result.measurements, result.seconds, warnings=warnings
        )
        self.diagnostics.conclude(summary, warnings)

    def _options(self) -> ReconstructionOptions:
        return ReconstructionOptions(
            triangle_budget=self.get_parameter("triangle_budget").value,
            point_spacing_mm=self.get_parameter("point_spacing_m").value * MM_PER_M,
            collision_margin_mm=self.get_parameter("collision_margin_m").value * MM_PER_M,
            collision_triangle_budget=self.get_parameter("collision_triangle_budget").value,
        )


def _check_values(labels: LabelVolume) -> None:
    largest, known = int(labels.array.max()), max(structure.value for structure in STRUCTURES)
    if largest > known:
        raise InputError(
            f"volume {labels.uid} holds the value {largest}; labels go up to {known} (liver_seg_ros/labels.py)"
        )


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [ReconstructionNode()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
