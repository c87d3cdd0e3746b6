# SPDX-License-Identifier: Apache-2.0
"""The node `segmentation`: takes a CT from the topic `ct` and publishes its labels on `labels`.

The liver as it is found first is on `segmentation/preview` meanwhile (`preview.py`).
Where its parameter `surroundings` is true, also a coarse map of the organs around the liver, on `surroundings`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from rclpy.publisher import Publisher

from liver_seg_interfaces.msg import LabelTable
from liver_seg_ros.errors import CancelledError, InputError
from liver_seg_ros.inference.segmenter import CoarseLiver, Segmentation
from liver_seg_ros.inference.surroundings import SurroundingsMap
from liver_seg_ros.labels import Structure
from liver_seg_ros.nodes.messages.assembler import Assembled
from liver_seg_ros.nodes.messages.label_tables import label_table
from liver_seg_ros.nodes.parameter_tables import SEGMENTATION
from liver_seg_ros.nodes.preview import Preview
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.reporting import Reporting
from liver_seg_ros.nodes.save_service import offer_saving
from liver_seg_ros.nodes.segment_action import SegmentAction
from liver_seg_ros.nodes.segment_request import SegmentRequest
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.volume_input import VolumeInput
from liver_seg_ros.nodes.volume_output import VolumeOutput
from liver_seg_ros.nodes.volume_report import VolumeReport
from liver_seg_ros.nodes.work.saving import Saved, Segmented, Where
from liver_seg_ros.nodes.work.segmenting import Judgment, Networks, Segmenting
from liver_seg_ros.nodes.workplaces import workplace
from liver_seg_ros.offload.worker_process import Workplace
from liver_seg_ros.progress import Cancelled, Progress, never_cancelled, no_progress, raise_if_cancelled
from liver_seg_ros.volume import LabelVolume, Volume

_LOADING_INTERVAL_S = 2.0

#: Seconds of the stages of a CT of 512x512x300 voxels (benchmarks/whole_path.py), until a CT was segmented here.
_COURSE = (("localize", 0.22), ("segment", 1.34), ("postprocess", 0.77), ("publish", 1.2))


class SegmentationNode(StageNode):
    """Segments each CT that arrives; a new one cancels the work on the one before.

    Args:
        subscribe: False where a source in the same process calls `accept`, so that no CT crosses DDS.
        deliver: called on the worker's thread with the labels and their stamp in ns, for a reconstruction node here.
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(
        self, subscribe: bool = True, deliver: Callable[[LabelVolume, int], None] | None = None, **kwargs: object
    ) -> None:
        super().__init__("segmentation", SEGMENTATION, **kwargs)
        self._deliver = deliver
        self._reporting = Reporting(self, _COURSE)
        self._action = SegmentAction(self, self._reporting, self._on_request)
        self._input = VolumeInput(self, "ct", np.int16, self._on_assembled, self._reporting) if subscribe else None
        self._output = VolumeOutput(self, "labels")
        self._surroundings = VolumeOutput(self, "surroundings")  # open only where they are asked for
        self._preview = Preview(self)  # the same
        self._table: Publisher | None = None
        self._loaded: tuple[Workplace, Networks] | None = None
        self._last: Volume | None = None  # that came, for goals that name it
        self._result: Segmented | None = None  # the last, for those who want it saved
        offer_saving(self, self._save)

    def configure(self) -> None:
        surroundings = bool(self.get_parameter("surroundings").value)
        self._loaded = self._load(self._folder("models_dir"), surroundings)
        self._output.open()
        if surroundings:
            self._surroundings.open()
        if self.get_parameter("preview").value:
            self._preview.open()
        self._reporting.open()
        self._table = self.create_lifecycle_publisher(LabelTable, "label_table", latched(1))
        _, networks = self._loaded
        models = ", ".join(f"{bundle.spec.name} {bundle.spec.version} {bundle.sha256}" for bundle in networks.bundles)
        self.diagnostics.say(
            f"models loaded, running on {networks.runtime_name}", runtime=networks.runtime_name, models=models
        )

    def activate(self) -> None:
        if self._table is not None:
            self._table.publish(label_table(self.get_clock().now().to_msg()))
        if self._input is not None:
            self._input.open()
        self.diagnostics.say("waiting for a CT")

    def deactivate(self) -> None:
        if self._input is not None:
            self._input.close()
        self._last = None

    def destroy_node(self) -> None:
        """The action is no part of what rclpy destroys with a node."""
        self._action.destroy()
        super().destroy_node()

    def _save(self, where: Where) -> Saved | None:
        loaded, result = self._loaded, self._result
        if loaded is None or result is None:
            return None
        [saved] = loaded[0].run(Segmenting.save, where, result)
        return saved

    def cleanup(self) -> None:
        if self._loaded is not None:
            self._loaded[0].close()
        self._loaded = self._result = None
        self._output.close()
        self._surroundings.close()
        self._preview.close()
        self._reporting.close()
        if self._table is not None:
            self.destroy_lifecycle_publisher(self._table)
        self._table = None

    def accept(self, volume: Volume) -> None:
        """Segment `volume` next. Returns at once; safe from any thread."""
        self._last = volume
        self._reporting.take_up(volume.uid, "segmenting", partial(self._on_volume, volume))

    def _load(
        self, models_dir: Path | None, surroundings: bool, cancelled: Cancelled = never_cancelled
    ) -> tuple[Workplace, Networks]:
        place = workplace(
            self,
            Segmenting,
            models_dir,
            self.get_parameter("runtime").value,
            self.get_parameter("precision").value,
            self._folder("cache_dir"),
            surroundings,
            bool(self.get_parameter("veins").value),
        )
        try:
            place.wait_until_made(self._say_loading(), cancelled)
            [networks] = place.run(Segmenting.networks)
        except BaseException:
            place.close()
            raise
        return place, networks

    def _folder(self, parameter: str) -> Path | None:
        value = self.get_parameter(parameter).value
        return Path(value).expanduser() if value else None

    def _say_loading(self) -> Progress:
        """A `Progress` for the diagnostics, whose timer stands still while `configure` builds an engine for minutes."""
        said_at = time.monotonic()

        def say(stage: str, fraction: float) -> None:
            nonlocal said_at
            if time.monotonic() - said_at >= _LOADING_INTERVAL_S:
                said_at = time.monotonic()
                self.diagnostics.say(f"{stage}: {fraction:.0%}")

        return say

    def _on_assembled(self, assembled: Assembled) -> None:
        self.accept(Volume(assembled.array, assembled.geometry, assembled.uid))

    def _on_volume(self, volume: Volume, report: VolumeReport, cancelled: Cancelled) -> None:
        self._reporting.progress(report)
        self._segment(volume, self._networks(), (), report, cancelled)

    def _on_request(self, request: SegmentRequest, report: VolumeReport, cancelled: Cancelled) -> None:
        progress = self._reporting.progress(report)
        here = self._networks()
        if request.path:
            source = request.path, request.series_uid, request.acquisition
            [volume] = here[0].run(Segmenting.read, *source, progress=progress, cancelled=cancelled)
        else:
            volume = self._volume_that_came(request.volume_uid)
        report.volume_uid = progress.volume_uid = volume.uid
        if request.models_dir is None:
            self._segment(volume, here, request.wanted, report, cancelled)
            return
        other = self._load(request.models_dir, False, cancelled)
        try:
            self._segment(volume, other, request.wanted, report, cancelled)
        finally:
            other[0].close()

    def _networks(self) -> tuple[Workplace, Networks]:
        if self._loaded is None:
            raise CancelledError("the node was cleaned up")
        return self._loaded

    def _volume_that_came(self, uid: str) -> Volume:
        last = self._last
        if last is None or last.uid != uid:
            has = "none came" if last is None else f"the last one is {last.uid}"
            raise InputError(f"volume {uid} is not here: {has}; send it on the topic ct, or give its path")
        return last

    def _segment(
        self,
        volume: Volume,
        loaded: tuple[Workplace, Networks],
        wanted: Sequence[Structure],
        report: VolumeReport,
        cancelled: Cancelled,
    ) -> None:
        place, networks = loaded
        progress = report.progress or no_progress
        asked = volume, wanted, self._preview.is_open
        coarse: LabelVolume | None = None
        try:
            for part in place.run(Segmenting.segment, *asked, progress=progress, cancelled=cancelled):
                raise_if_cancelled(cancelled, "segmenting")
                if isinstance(part, CoarseLiver):
                    coarse = part.labels
                    self._preview.show(coarse)
                    self.diagnostics.say(f"a coarse liver of volume {volume.uid} is on segmentation/preview")
                elif isinstance(part, Segmentation):
                    segmentation = part
                    progress("publish", 0.0)
                    stamp = self.get_clock().now()
                    if self._deliver is not None:
                        self._deliver(segmentation.labels, stamp.nanoseconds)
                    self._output.publish(segmentation.labels, stamp.to_msg(), cancelled)
                    if coarse is not None:
                        self._preview.take_back(coarse)
                elif isinstance(part, SurroundingsMap):
                    self._surroundings.publish(part.labels, stamp.to_msg(), cancelled)
                else:
                    progress("publish", 1.0)
                    self._conclude(report, networks, segmentation, part)
        finally:
            if coarse is not None:
                self._preview.take_back(coarse)

    def _conclude(
        self, report: VolumeReport, networks: Networks, segmentation: Segmentation, judgment: Judgment
    ) -> None:
        found, message = bool(segmentation.labels.array.any()), segmentation.message
        if segmentation.liver_found and not found:
            message = f"{message}; nothing of what was asked for is in it"
        self._reporting.end_measured(
            report,
            found,
            message,
            judgment.measurements,
            segmentation.seconds,
            networks.runtime_name,
            networks.bundles,
            judgment.warnings,
        )
        self._result = Segmented(
            replace(segmentation, message=message),
            judgment.measurements,
            judgment.warnings,
            networks.runtime_name,
            networks.bundles,
        )
        self.diagnostics.conclude(message, judgment.warnings)


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [SegmentationNode()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
