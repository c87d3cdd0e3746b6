# SPDX-License-Identifier: Apache-2.0
"""From a CT on disk to the topic `ct`: what `ct_source` does with a file, and `dicom_receiver` with a series."""

from __future__ import annotations

from collections.abc import Callable

from liver_seg_ros.nodes.parameter_tables import WORKER_PROCESS
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.volume_output import VolumeOutput
from liver_seg_ros.nodes.work.reading import Reading
from liver_seg_ros.nodes.workplaces import workplace
from liver_seg_ros.progress import Cancelled, raise_if_cancelled
from liver_seg_ros.volume import Volume

#: Is given each CT, for a segmentation node in the same process.
Deliver = Callable[[Volume], None]


class CtOutput(VolumeOutput):
    """Reads CTs and publishes them on the topic `ct`.

    Args:
        node: whose topic, parameters and diagnostics.
        deliver: called with each CT, on the thread that publishes it; None for nobody.
    """

    def __init__(self, node: StageNode, deliver: Deliver | None) -> None:
        super().__init__(node, "ct")
        self._deliver = deliver
        node.declare_missing(WORKER_PROCESS)

    def read_and_publish(self, path: str, series_uid: str, acquisition: str, cancelled: Cancelled) -> None:
        """Publish the CT that is there; see `read_volume` for what is refused."""
        node = self._node
        node.diagnostics.begin(f"reading {path}")
        place = workplace(node, Reading)
        try:
            [volume] = place.run(Reading.read, path, series_uid, acquisition, cancelled=cancelled)
        finally:
            place.close()  # CTs are read seldom, and what reads them has memory
        raise_if_cancelled(cancelled, "reading")
        if self._deliver is not None:
            self._deliver(volume)
        self.publish(volume, node.get_clock().now().to_msg(), cancelled)
        node.diagnostics.conclude(f"published {path} as volume {volume.uid}", last_volume=volume.uid)
