# SPDX-License-Identifier: Apache-2.0
"""The node `dicom_receiver`: CTs that a scanner or a PACS sends (C-STORE) go to the topic `ct`, series by series."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.timer import Timer

from liver_seg_ros.dicom_network.peers import parse_list
from liver_seg_ros.dicom_network.reception import Reception, ReceptionOptions
from liver_seg_ros.dicom_network.spool import Spool
from liver_seg_ros.errors import InputError
from liver_seg_ros.nodes import library_warnings
from liver_seg_ros.nodes.ct_output import CtOutput, Deliver
from liver_seg_ros.nodes.parameter_tables import DICOM_RECEIVER
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.progress import Cancelled

_LOOK_PERIOD_S = 0.2
#: Parameters that are options of the reception.
_AS_THEY_ARE = (
    "title",
    "address",
    "port",
    "quiet_s",
    "deadline_s",
    "associations",
    "object_mb",
    "keep_free_gb",
    "commitment",
)


class DicomReceiver(StageNode):
    """Listens while it is active. What is taken, when a series is complete, and what is answered is decided below.

    Complete series are published one after another, each once; one that the process did not come to before it ended is
    published at the next start.

    Args:
        deliver: called on the worker's thread with each CT, for a segmentation node in the same process.
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(self, deliver: Deliver | None = None, **kwargs: object) -> None:
        super().__init__("dicom_receiver", DICOM_RECEIVER, **kwargs)
        self._output = CtOutput(self, deliver)
        self._heard = _Heard(self)
        self._reception: Reception | None = None
        self._complete: deque[Path] = deque()  # and not published yet
        self._timer: Timer | None = None

    def configure(self) -> None:
        self._output.open()

    def activate(self) -> None:
        folder = str(self.get_parameter("spool").value)
        if not folder:
            raise InputError("parameter spool is empty; give the folder that takes what is received")
        options = self._options()
        self._complete = deque()
        reception = Reception(Path(folder).expanduser(), options, self._complete.append, self._around)
        self._complete.extend(reception.spool.not_handed())
        port = reception.start()
        self._reception = reception
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(_LOOK_PERIOD_S, self._look, clock=steady)
        self.diagnostics.say(f"{options.title} listens on {options.address}:{port}")

    def deactivate(self) -> None:
        if self._timer is not None:
            self.destroy_timer(self._timer)
        self._timer = None
        self._stop_listening()

    def cleanup(self) -> None:
        self._output.close()

    def destroy_node(self) -> None:
        """Also end what is open: a peer's association would keep the process."""
        self._stop_listening()
        super().destroy_node()

    def _stop_listening(self) -> None:
        if self._reception is not None:
            self._reception.stop()
            self._reception.spool.close()
        self._reception = None

    def _options(self) -> ReceptionOptions:
        def value(name: str) -> Any:
            return self.get_parameter(name).value

        def file(name: str) -> Path | None:
            return Path(value(name)).expanduser() if value(name) else None

        return ReceptionOptions(
            **{name: value(name) for name in _AS_THEY_ARE},
            certificate=file("tls_cert"),
            key=file("tls_key"),
            authority=file("tls_ca"),
            user_file=file("user_file"),
            audit_file=file("audit_file"),
            peers=parse_list(value("peers")),
            pacs=value("pacs") or None,
            spool_gb=value("spool_gb") or None,
        )

    def _around(self) -> AbstractContextManager[None]:
        return library_warnings.on_behalf_of(self._heard)

    def _look(self) -> None:
        """Publish what is complete, one after another."""
        if self._reception is None or self.worker.busy or not self._complete:
            return
        folder, spool = self._complete.popleft(), self._reception.spool
        self.worker.submit(lambda cancelled: self._publish(folder, spool, cancelled))

    def _publish(self, folder: Path, spool: Spool, cancelled: Cancelled) -> None:
        if not folder.is_dir():
            return  # someone has taken it
        count = spool.count(folder)
        try:
            self._output.read_and_publish(str(folder), "", "", cancelled)
        except InputError:
            spool.hand(folder, count, 1)  # nor will it be read the next time
            raise
        spool.hand(folder, count, 0)
        if self.get_parameter("remove_published").value:
            spool.remove(folder, count)


class _Heard:
    """Says what the receiver's threads warn of: nothing of it concerns the volume that is worked on."""

    def __init__(self, node: StageNode) -> None:
        self._node = node

    def say_library_warning(self, text: str, own: bool) -> None:
        """See `library_warnings.Speaker`."""
        if own:
            self._node.diagnostics.warn(text)
        else:
            self._node.get_logger().warning(text)


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [DicomReceiver()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
