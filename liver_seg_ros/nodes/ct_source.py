# SPDX-License-Identifier: Apache-2.0
"""The node `ct_source`: publishes a CT from a file or a DICOM folder on the topic `ct`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.timer import Timer
from std_srvs.srv import Trigger

from liver_seg_ros.files.folder_watch import FolderWatch
from liver_seg_ros.nodes.ct_output import CtOutput, Deliver
from liver_seg_ros.nodes.parameter_tables import CT_SOURCE
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.stage_node import StageNode

SOURCE = ("path", "series_uid", "acquisition")
_LOOK_PERIOD_S = 0.5


class CtSource(StageNode):
    """Reads a CT when it becomes active, when one of its parameters `SOURCE` changes, when its service `~/publish` is
    called, and when one appears in `watch_folder`.

    Args:
        deliver: called on the worker's thread with each CT, for a segmentation node in the same process.
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(self, deliver: Deliver | None = None, **kwargs: object) -> None:
        super().__init__("ct_source", CT_SOURCE, **kwargs)
        self._output = CtOutput(self, deliver)
        self._watch: FolderWatch | None = None
        self._timer: Timer | None = None
        self.create_service(Trigger, "~/publish", self._on_publish)

    def configure(self) -> None:
        self._output.open()

    def activate(self) -> None:
        folder = str(self.get_parameter("watch_folder").value)
        if folder:
            self._watch = FolderWatch(Path(folder).expanduser(), self.get_parameter("watch_settled_s").value)
            self._look()  # what is there already is known
            self._timer = self.create_timer(_LOOK_PERIOD_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
            self.diagnostics.say(f"watching {folder}")
        if self._source()["path"] or not folder:
            self._start_reading(self._source())

    def deactivate(self) -> None:
        if self._timer is not None:
            self.destroy_timer(self._timer)
        self._watch, self._timer = None, None

    def cleanup(self) -> None:
        self._output.close()

    def parameters_changed(self, changed: Mapping[str, Any]) -> None:
        asked = {name: str(value) for name, value in changed.items() if name in SOURCE}
        if asked and self.active:
            self._start_reading({**self._source(), **asked})  # the parameters change only after this call

    def _look(self) -> None:
        """Read what has appeared in the watched folder, one after another."""
        if self._watch is None or self.worker.busy:
            return
        appeared = self._watch.complete(time.monotonic())
        if appeared is not None:
            self._start_reading({"path": str(appeared), "series_uid": "", "acquisition": ""})

    def _source(self) -> dict[str, str]:
        return {name: str(self.get_parameter(name).value) for name in SOURCE}

    def _on_publish(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        source = self._source()
        response.success = self.active and bool(source["path"])
        if response.success:
            response.message = f"reading {source['path']}; the outcome is said on /diagnostics"
            self._start_reading(source)
        else:
            response.message = "not active" if not self.active else "no path; set the parameter 'path'"
        return response

    def _start_reading(self, source: dict[str, str]) -> None:
        if source["path"]:
            self.worker.submit(lambda cancelled: self._output.read_and_publish(**source, cancelled=cancelled))
        else:
            self.diagnostics.say("no path; set the parameter 'path'")


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [CtSource()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
