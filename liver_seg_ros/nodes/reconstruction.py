# SPDX-License-Identifier: Apache-2.0
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
from liver_seg_ros.errors import CancelledError
from liver_seg_ros.geometry import MM_PER_M
from liver_seg_ros.nodes.frames import StaticFrame
from liver_seg_ros.nodes.lesion_reports import LesionReports
from liver_seg_ros.nodes.messages.assembler import Assembled
from liver_seg_ros.nodes.parameter_tables import RECONSTRUCTION
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.reporting import Reporting
from liver_seg_ros.nodes.save_service import offer_saving
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.volume_input import VolumeInput
from liver_seg_ros.nodes.volume_report import VolumeReport
from liver_seg_ros.nodes.work.reconstructing import Headers, Reconstructed, Reconstructing
from liver_seg_ros.nodes.work.saving import Saved, Where
from liver_seg_ros.nodes.workplaces import workplace
from liver_seg_ros.offload.worker_process import Workplace
from liver_seg_ros.progress import Cancelled, raise_if_cancelled
from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions
from liver_seg_ros.volume import LabelVolume

#: Seconds of the stages of a CT of 512x512x300 voxels (benchmarks/whole_path.py), until one was reconstructed here.
_COURSE = (("surfaces", 9.3), ("cloud", 0.35), ("vessels", 0.94))

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
        self._reporting = Reporting(self, _COURSE)
        self._input = VolumeInput(self, "labels", np.uint8, self._on_assembled, self._reporting) if subscribe else None
        self._frame = StaticFrame(self)
        self._lesions = LesionReports(self)
        self._outputs: dict[str, Publisher] = {}
        self._workplace: Workplace | None = None
        offer_saving(self, self._save)

    def parameters_changed(self, changed: Mapping[str, Any]) -> None:
        self._frame.parameters_changed(changed)

    def configure(self) -> None:
        self._workplace = workplace(self, Reconstructing)
        self._workplace.begin()
        self._frame.open()
        self._reporting.open()
        self._lesions.open()
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

    def _save(self, where: Where) -> Saved | None:
        place = self._workplace
        return None if place is None else next(place.run(Reconstructing.save, where), None)

    def cleanup(self) -> None:
        if self._workplace is not None:
            self._workplace.close()
        self._workplace = None
        self._frame.close()
        self._lesions.close()
        self._reporting.close()
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs = {}

    def accept(self, labels: LabelVolume, stamp_ns: int) -> None:
        """Reconstruct `labels`, which were stamped so, next. Returns at once; safe from any thread."""
        self._reporting.take_up(labels.uid, "reconstructing", partial(self._reconstruct, labels, stamp_ns))

    def _on_assembled(self, assembled: Assembled) -> None:
        self.accept(LabelVolume(assembled.array, assembled.geometry, assembled.uid), assembled.stamp_ns)

    def _reconstruct(self, labels: LabelVolume, stamp_ns: int, report: VolumeReport, cancelled: Cancelled) -> None:
        place, outputs = self._workplace, self._outputs
        if place is None:
            raise CancelledError("the node was cleaned up")
        progress = self._reporting.progress(report)
        for _ in place.run(Reconstructing.reconstruct, labels, self._options(), progress=progress, cancelled=cancelled):
            pass
        told = Headers(self.ct_frame, stamp_ns), self._lesions.of(labels.uid)
        result: Reconstructed
        [result] = place.run(Reconstructing.tell, *told, progress=progress, cancelled=cancelled)
        raise_if_cancelled(cancelled, "publishing")
        for topic, publisher in outputs.items():
            publisher.publish(result.messages[topic])
        found = bool(result.structures)
        summary = f"surfaces of {', '.join(result.structures) or 'nothing'} in volume {labels.uid}"
        self._reporting.end_measured(
            report, found, summary, result.measurements, result.seconds, warnings=result.warnings
        )
        self.diagnostics.conclude(summary, result.warnings)

    def _options(self) -> ReconstructionOptions:
        return ReconstructionOptions(
            triangle_budget=self.get_parameter("triangle_budget").value,
            point_spacing_mm=self.get_parameter("point_spacing_m").value * MM_PER_M,
            collision_margin_mm=self.get_parameter("collision_margin_m").value * MM_PER_M,
            collision_triangle_budget=self.get_parameter("collision_triangle_budget").value,
        )


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [ReconstructionNode()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
