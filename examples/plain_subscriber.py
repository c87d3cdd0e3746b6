#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Receives everything that liver_seg_ros publishes, knowing nothing but the message types, and checks it.

    python examples/plain_subscriber.py --out arrived/

This file imports no part of liver_seg_ros: it is what a planner or a viewer of your own would do. It waits for one
volume, its labels, meshes, cloud, markers and frame, writes them to `arrived.npz`, the report of the node
`reconstruction` as it came to `report.cdr`, and what it found to `arrived.json`. It says on the way, line by line:
`progress NODE: STAGE FRACTION`, `arrived TOPIC`, `check NAME ok|FAILED DETAIL`, `warning CODE TEXT` for each reason to
doubt the result.

Exit code: 0 when all of it came and is right, 2 when a node refused its input, 1 for anything else.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import rclpy
from arrived_checks import check_all
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from liver_seg_interfaces.msg import PlausibilityWarning, Progress, SegmentationReport, StructureMeshArray, Volume

VOXEL_TYPES = {Volume.ENCODING_HU: "<i2", Volume.ENCODING_LABELS: "u1", Volume.ENCODING_FLOAT: "<f4"}


def latched(depth: int) -> QoSProfile:
    """Reliable and transient-local: also what was published before this program started."""
    return QoSProfile(depth=depth, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class ReceivedVolume:
    """Puts the slabs of the newest volume on a topic together."""

    def __init__(self) -> None:
        self.uid, self.published_s, self.complete_s = "", 0.0, 0.0

    def add(self, slab: Volume) -> bool:
        """Take in one slab; True when it completed the volume."""
        columns, rows, slices = (int(n) for n in slab.size)
        if slab.volume_uid != self.uid:
            self.uid, self.header, self.first_slab = slab.volume_uid, slab.header, slab
            self.published_s = seconds(slab.header.stamp)
            self.array = np.empty((slices, rows, columns), VOXEL_TYPES[slab.encoding])
            self.missing = np.ones(slices, dtype=bool)
        first, stop = slab.first_slice, slab.first_slice + slab.slice_count
        data = zlib.decompress(slab.data) if slab.compression == Volume.COMPRESSION_ZLIB else slab.data
        voxels = np.frombuffer(data, VOXEL_TYPES[slab.encoding])
        self.array[first:stop] = voxels.reshape(-1, rows, columns)
        was_complete, self.missing[first:stop] = not self.missing.any(), False
        if self.missing.any() or was_complete:
            return False
        self.complete_s = time.time()
        return True


class PlainSubscriber(Node):
    """Collects the newest of everything."""

    def __init__(self) -> None:
        super().__init__("plain_subscriber")
        self.volumes = {"ct": ReceivedVolume(), "labels": ReceivedVolume()}
        self.messages: dict[str, object] = {}  # the last one per topic
        self.received_s: dict[str, float] = {}
        self.error: tuple[str, str] | None = None  # kind, line
        for topic in self.volumes:
            self.create_subscription(Volume, topic, lambda m, t=topic: self._on_slab(t, m), latched(1024))
        for topic, kind, depth in (
            ("meshes", StructureMeshArray, 1),
            ("markers", MarkerArray, 1),
            ("cloud", PointCloud2, 1),
            ("segmentation/report", SegmentationReport, 1),
            ("reconstruction/report", SegmentationReport, 1),
            ("/tf_static", TFMessage, 10),
        ):
            self.create_subscription(kind, topic, lambda m, t=topic: self._on_message(t, m), latched(depth))
        for node in ("segmentation", "reconstruction"):
            self.create_subscription(Progress, f"{node}/progress", lambda m, n=node: self._on_progress(n, m), 10)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    @property
    def complete(self) -> bool:
        """True when everything about one volume is here."""
        reports = [self.messages.get(f"{node}/report") for node in ("segmentation", "reconstruction")]
        if None in reports or not {"meshes", "markers", "cloud", "/tf_static"} <= self.messages.keys():
            return False
        uids = {volume.uid for volume in self.volumes.values()} | {report.volume_uid for report in reports}
        uids.add(self.messages["meshes"].volume_uid)
        all_slabs = all(volume.uid and not volume.missing.any() for volume in self.volumes.values())
        # Meshes and cloud carry the stamp of the labels that they were made of.
        stamps = {seconds(self.messages[topic].header.stamp) for topic in ("meshes", "cloud")}
        return all_slabs and len(uids) == 1 and stamps == {self.volumes["labels"].published_s}

    def _on_slab(self, topic: str, slab: Volume) -> None:
        if self.volumes[topic].add(slab):
            say("arrived", topic)

    def _on_message(self, topic: str, message: object) -> None:
        self.messages[topic] = message
        self.received_s[topic] = time.time()
        say("arrived", topic)

    def _on_progress(self, node: str, progress: Progress) -> None:
        say("progress", f"{node}: {progress.stage}", f"{progress.stage_fraction:.3f}")

    def _on_diagnostics(self, diagnostics: DiagnosticArray) -> None:
        for status in diagnostics.status:
            if status.level == DiagnosticStatus.ERROR and self.error is None:
                kind = next((value.value for value in status.values if value.key == "error_kind"), "internal")
                self.error = (kind, f"{status.name}: {status.message}")


def seconds(stamp) -> float:
    """A stamp of a header as seconds."""
    return stamp.sec + stamp.nanosec * 1e-9


def warnings_of(*reports: SegmentationReport) -> list[dict]:
    """Why the result may be wrong: each reason once, whichever node gives it."""
    by_code = {warning.code: warning for report in reversed(reports) for warning in report.warnings}
    given = dict.fromkeys(warning.code for report in reports for warning in report.warnings)
    return [
        {
            "code": code,
            "level": "doubt" if by_code[code].level == PlausibilityWarning.LEVEL_DOUBT else "note",
            "structure": by_code[code].structure or None,
            "lesions": list(by_code[code].lesions),
            "message": by_code[code].text,
        }
        for code in given
    ]


def say(*words: str) -> None:
    """One line for whoever reads along."""
    print(*words, flush=True)


def stage_seconds(node: PlainSubscriber) -> dict[str, float]:
    """Wall time per stage, the journeys over DDS included."""
    spent = {}
    for topic, stage in (("ct", "segmentation"), ("labels", "reconstruction")):
        volume, report = node.volumes[topic], node.messages[f"{stage}/report"]
        spent[f"{topic} over DDS"] = volume.complete_s - volume.published_s
        spent |= {f"{stage}: {name}": value for name, value in zip(report.stages, report.stage_seconds, strict=True)}
    # Meshes carry the stamp of their labels: what was no stage since these came was making messages and the journey.
    since_labels_s = node.received_s["meshes"] - node.volumes["labels"].complete_s
    spent["meshes over DDS"] = max(0.0, since_labels_s - sum(node.messages["reconstruction/report"].stage_seconds))
    return spent


def wait(node: PlainSubscriber, timeout_s: float) -> str:
    """Spin until everything is here: an empty string; otherwise one line that says why not."""
    deadline = time.monotonic() + timeout_s
    while not node.complete:
        if node.error is not None:
            return node.error[1]
        if time.monotonic() > deadline:
            have = [topic for topic, volume in node.volumes.items() if volume.complete_s] + sorted(node.messages)
            return f"not everything came within {timeout_s:.0f} s; came: {', '.join(have) or 'nothing'}"
        rclpy.spin_once(node, timeout_sec=0.2)
    return ""


def main() -> int:
    """Receive, check, write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("arrived"), help="folder for what arrived")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds to wait for everything")
    options = parser.parse_args(rclpy.utilities.remove_ros_args(sys.argv)[1:])
    rclpy.init()
    node = PlainSubscriber()
    say("ready")
    failure = wait(node, options.timeout)
    if failure:
        kind = node.error[0] if node.error else "timeout"
        say("error", kind, failure)
        return 2 if kind == "input" else 1
    checks, arrays, structures = check_all(node.volumes, node.messages)
    options.out.mkdir(parents=True, exist_ok=True)
    np.savez(options.out / "arrived.npz", **arrays)
    (options.out / "report.cdr").write_bytes(serialize_message(node.messages["reconstruction/report"]))
    for name, passed, detail in checks:
        say("check", name, "ok" if passed else "FAILED", detail)
    segmentation = node.messages["segmentation/report"]
    doubts = warnings_of(segmentation, node.messages["reconstruction/report"])
    for doubt in doubts:
        say("warning", doubt["code"], doubt["message"])
    report = {
        "uid": node.volumes["ct"].uid,
        "liver_found": segmentation.status == SegmentationReport.STATUS_FOUND,
        "message": segmentation.message,
        "warnings": doubts,
        "structures": structures,
        "runtime": segmentation.runtime,
        "models": [{"name": m.name, "version": m.version, "sha256": m.sha256} for m in segmentation.models],
        "seconds": stage_seconds(node),
        "checks": [{"name": name, "passed": bool(passed), "detail": detail} for name, passed, detail in checks],
    }
    (options.out / "arrived.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if all(passed for _, passed, _ in checks) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, ExternalShutdownException):
        sys.exit(130)
