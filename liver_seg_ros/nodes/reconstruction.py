"""The node `reconstruction`: takes labels from the topic `labels` and publishes surfaces and points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from liver_seg_interfaces.msg import SegmentationReport, StructureMeshArray
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.nodes.assembler import Assembled
from liver_seg_ros.nodes.cloud_messages import cloud_to_message
from liver_seg_ros.nodes.frames import StaticFrame
from liver_seg_ros.nodes.mesh_messages import meshes_to_array, meshes_to_markers
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.reporting import Reporting
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.volume_input import VolumeInput
from liver_seg_ros.progress import Cancelled, raise_if_cancelled
from liver_seg_ros.reconstruction.pipeline import reconstruct
from liver_seg_ros.volume import LabelVolume

_TOPICS = {"meshes": StructureMeshArray, "markers": MarkerArray, "cloud": PointCloud2}


class ReconstructionNode(StageNode):
    """Reconstructs each label volume that arrives; a new one cancels the work on the one before.

    Args:
        subscribe: False where a segmentation in the same process calls `accept`, so that no labels cross DDS.
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(self, subscribe: bool = True, **kwargs: object) -> None:
        super().__init__("reconstruction", **kwargs)
        self._input = VolumeInput(self, "labels", np.uint8, self._on_assembled) if subscribe else None
        self._reporting = Reporting(self)
        self._frame = StaticFrame(self)
        self._outputs: dict[str, object] = {}

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
        self.worker.submit(lambda cancelled: self._reconstruct(labels, cancelled))

    def _on_assembled(self, assembled: Assembled) -> None:
        self.accept(LabelVolume(assembled.array, assembled.geometry, assembled.uid))

    def _reconstruct(self, labels: LabelVolume, cancelled: Cancelled) -> None:
        uid = labels.uid
        if not self._outputs:
            return
        self.diagnostics.say(f"reconstructing volume {uid}", last_volume=uid)
        try:
            result = reconstruct(labels, progress=self._reporting.progress(uid), cancelled=cancelled)
        except InputError as error:
            self._reporting.publish(SegmentationReport(volume_uid=uid, message=str(error)))
            raise
        stamp = self.get_clock().now().to_msg()
        messages = {
            "meshes": meshes_to_array(result.meshes, result.measurements, uid, stamp),
            "markers": meshes_to_markers(result.meshes, stamp),
            "cloud": cloud_to_message(result.cloud, stamp),
        }
        raise_if_cancelled(cancelled, "publishing")
        for topic, message in messages.items():
            self._outputs[topic].publish(message)  # type: ignore[attr-defined]
        names = ", ".join(mesh.structure.name for mesh in result.meshes) or "nothing"
        summary = f"surfaces of {names} in volume {uid}"
        self._reporting.publish_measured(uid, bool(result.meshes), summary, result.measurements, result.seconds)
        self.diagnostics.say(summary)


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [ReconstructionNode()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
