"""The node `segmentation`: takes a CT from the topic `ct` and publishes its labels on `labels`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from liver_seg_ros.errors import CancelledError
from liver_seg_ros.inference.segmenter import Segmentation
from liver_seg_ros.nodes.messages.assembler import Assembled
from liver_seg_ros.nodes.parameter_tables import SEGMENTATION
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.reporting import Reporting
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.volume_input import VolumeInput
from liver_seg_ros.nodes.volume_output import VolumeOutput
from liver_seg_ros.nodes.volume_report import VolumeReport
from liver_seg_ros.nodes.work.segmenting import Judgment, Networks, Segmenting
from liver_seg_ros.nodes.workplaces import workplace
from liver_seg_ros.offload.worker_process import Workplace
from liver_seg_ros.progress import Cancelled, Progress, raise_if_cancelled
from liver_seg_ros.volume import LabelVolume, Volume

_LOADING_INTERVAL_S = 2.0


class SegmentationNode(StageNode):
    """Segments each CT that arrives; a new one cancels the work on the one before.

    Args:
        subscribe: False where a source in the same process calls `accept`, so that no CT crosses DDS.
        deliver: called on the worker's thread with the labels, for a reconstruction node in the same process.
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(
        self, subscribe: bool = True, deliver: Callable[[LabelVolume], None] | None = None, **kwargs: object
    ) -> None:
        super().__init__("segmentation", SEGMENTATION, **kwargs)
        self._deliver = deliver
        self._reporting = Reporting(self)
        self._input = VolumeInput(self, "ct", np.int16, self._on_assembled, self._reporting) if subscribe else None
        self._output = VolumeOutput(self, "labels")
        self._loaded: tuple[Workplace, Networks] | None = None

    def configure(self) -> None:
        self._loaded = self._load()
        self._output.open()
        self._reporting.open()
        _, networks = self._loaded
        models = ", ".join(f"{bundle.spec.name} {bundle.spec.version} {bundle.sha256}" for bundle in networks.bundles)
        self.diagnostics.say(
            f"models loaded, running on {networks.runtime_name}", runtime=networks.runtime_name, models=models
        )

    def activate(self) -> None:
        if self._input is not None:
            self._input.open()
        self.diagnostics.say("waiting for a CT")

    def deactivate(self) -> None:
        if self._input is not None:
            self._input.close()

    def cleanup(self) -> None:
        if self._loaded is not None:
            self._loaded[0].close()
        self._loaded = None
        self._output.close()
        self._reporting.close()

    def accept(self, volume: Volume) -> None:
        """Segment `volume` next. Returns at once; safe from any thread."""
        self._reporting.take_up(volume.uid, "segmenting", partial(self._segment, volume))

    def _load(self) -> tuple[Workplace, Networks]:
        place = workplace(
            self,
            Segmenting,
            self._folder("models_dir"),
            self.get_parameter("runtime").value,
            self.get_parameter("precision").value,
            self._folder("cache_dir"),
        )
        try:
            place.wait_until_made(self._say_loading())
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

    def _segment(self, volume: Volume, report: VolumeReport, cancelled: Cancelled) -> None:
        loaded = self._loaded
        if loaded is None:
            raise CancelledError("the node was cleaned up")
        place, networks = loaded
        progress = self._reporting.progress(volume.uid)
        for part in place.run(Segmenting.segment, volume, progress=progress, cancelled=cancelled):
            raise_if_cancelled(cancelled, "segmenting")
            if isinstance(part, Segmentation):
                segmentation = part
                if self._deliver is not None:
                    self._deliver(segmentation.labels)
                self._output.publish(segmentation.labels, cancelled)
            else:
                self._conclude(report, networks, segmentation, part)

    def _conclude(
        self, report: VolumeReport, networks: Networks, segmentation: Segmentation, judgment: Judgment
    ) -> None:
        self._reporting.end_measured(
            report,
            segmentation.liver_found,
            segmentation.message,
            judgment.measurements,
            segmentation.seconds,
            networks.runtime_name,
            networks.bundles,
            judgment.warnings,
        )
        self.diagnostics.conclude(segmentation.message, judgment.warnings)


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [SegmentationNode()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
