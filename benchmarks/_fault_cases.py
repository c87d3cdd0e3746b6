# SPDX-License-Identifier: Apache-2.0
"""Faults of processes, volumes and the machine: what `faults.py` does to the nodes that work on volumes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from _fault_harness import conftest
from _fault_tries import Tries, expect
from builtin_interfaces.msg import Time

from liver_seg_interfaces.msg import Progress, SegmentationReport, StructureMeshArray
from liver_seg_interfaces.msg import Volume as VolumeMessage
from liver_seg_ros.files.volumes import write_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.volume import LabelVolume, Volume

#: What 2000 malformed messages may add to a node.
MOST_GROWN_MB = 200
SLABS = 40
STUCK = """
import os, signal, rclpy
from liver_seg_interfaces.msg import GuardReading, SegmentationReport, StructureMeshArray, Volume
from liver_seg_ros.nodes import qos
rclpy.init()
node = rclpy.create_node("stuck")
wanted = {"ct": Volume, "labels": Volume, "meshes": StructureMeshArray, "segmentation/report": SegmentationReport}
for topic, kind in wanted.items():
    node.create_subscription(kind, topic, lambda _: None, qos.latched(1))
while not node.count_publishers("/labels"):
    rclpy.spin_once(node, timeout_sec=0.1)
print("here", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


class Bench:
    """The volumes that are sent, and what has to come of them."""

    def __init__(self, folder: Path) -> None:
        self.models = conftest.write_models(folder / "models")
        self.ct: Volume = conftest.make_ct()
        self.ct_file = folder / "ct.nrrd"
        write_volume(self.ct_file, self.ct)
        self.labels: LabelVolume = load_default_segmenter(self.models).segment(self.ct).labels


class Segmenting:
    """A `segmentation` under test, its topics, and volumes that it is sent."""

    def __init__(self, bench: Bench, ros: Any, **parameters: object) -> None:
        self.bench, self.ros = bench, ros
        self.parameters = {"models_dir": str(bench.models), **parameters}
        self.reports = ros.latched(SegmentationReport, "/segmentation/report")
        self.volumes = ros.volumes("labels", np.uint8)
        self.progress = ros.live(Progress, "/segmentation/progress")
        self.publisher = ros.publisher("ct", 2 * SLABS)
        self.process = self.start()

    def start(self) -> subprocess.Popen:
        process = self.ros.start("segmentation", **self.parameters)
        self.ros.wait_for_line("/segmentation 0", "waiting for a CT")
        return process

    def slabs(self, uid: str, array: np.ndarray | None = None, geometry: Geometry | None = None) -> list[VolumeMessage]:
        """The bench's CT, or another one, under this uid."""
        ct = self.bench.ct
        volume = Volume(ct.array if array is None else array, geometry or ct.geometry, uid)
        return list(volume_to_slabs(volume, SLABS, Time(sec=1)))

    def send(self, slabs: Iterable[VolumeMessage]) -> None:
        for slab in slabs:
            self.publisher.publish(slab)

    def expect_right(self, uid: str) -> None:
        """The report of this volume says found, and its labels are right."""
        self.ros.spin_until(lambda: any(report.volume_uid == uid for report in self.reports))
        self.ros.spin_until(lambda: any(volume.uid == uid for volume in self.volumes))
        report = next(report for report in self.reports[::-1] if report.volume_uid == uid)
        labels = next(volume for volume in self.volumes[::-1] if volume.uid == uid)
        expect(report.status == SegmentationReport.STATUS_FOUND, f"{uid}: {report.message}")
        expect(np.array_equal(labels.array, self.bench.labels.array), f"{uid}: other labels")
        expect("Traceback" not in self.ros.log("segmentation"), "a traceback in the log")


def killed_segmentation(bench: Bench, ros: Any, tries: Tries) -> None:
    """SIGKILL at each stage in turn; the new process takes the CT that is latched."""
    graph = Segmenting(bench, ros)
    graph.send(graph.slabs("clean"))
    graph.expect_right("clean")
    stages = list(dict.fromkeys(progress.stage for progress in graph.progress))
    for number in tries.numbers():
        stage = stages[number % len(stages)]
        graph.progress.clear()
        graph.send(graph.slabs(f"killed-{number}"))
        ros.spin_until(lambda stage=stage: any(progress.stage == stage for progress in graph.progress))
        graph.process.kill()
        graph.process.wait()
        graph.reports.clear()
        graph.volumes.clear()
        with tries.one():
            graph.process = graph.start()
            graph.expect_right(f"killed-{number}")


def killed_reconstruction(bench: Bench, ros: Any, tries: Tries) -> None:
    reports, meshes = (
        ros.latched(SegmentationReport, "/reconstruction/report"),
        ros.latched(StructureMeshArray, "/meshes"),
    )
    progress, publisher = ros.live(Progress, "/reconstruction/progress"), ros.publisher("labels")

    def start() -> subprocess.Popen:
        process = ros.start("reconstruction")
        ros.wait_for_line("/reconstruction 0", "waiting for labels")
        return process

    def send(uid: str) -> None:
        for slab in volume_to_slabs(LabelVolume(bench.labels.array, bench.labels.geometry, uid), 8, Time(sec=1)):
            publisher.publish(slab)

    def done(uid: str) -> None:
        ros.spin_until(lambda: any(report.volume_uid == uid for report in reports))
        ros.spin_until(lambda: any(array.volume_uid == uid for array in meshes))
        report = next(report for report in reports[::-1] if report.volume_uid == uid)
        expect(report.status == SegmentationReport.STATUS_FOUND and len(meshes[-1].meshes) == 3, report.message)

    process = start()
    send("clean")
    done("clean")
    stages = list(dict.fromkeys(said.stage for said in progress))
    for number in tries.numbers():
        stage = stages[number % len(stages)]
        progress.clear()
        send(f"killed-{number}")
        ros.spin_until(lambda stage=stage: any(said.stage == stage for said in progress))
        process.kill()
        process.wait()
        reports.clear()
        meshes.clear()
        with tries.one():
            process = start()
            done(f"killed-{number}")


def killed_source(bench: Bench, ros: Any, tries: Tries) -> None:
    """Its process is killed with a part of the volume published, and started anew."""
    graph = Segmenting(bench, ros, slab_timeout_s=1.0)
    seen: list[VolumeMessage] = ros.latched(VolumeMessage, "/ct")
    for _ in tries.numbers():
        seen.clear()
        source = ros.start("ct_source", path=str(bench.ct_file), slabs=SLABS)
        ros.spin_until(lambda: bool(seen))
        source.kill()
        source.wait()
        with tries.one():
            begun = {slab.volume_uid for slab in seen}  # a file without a uid gets a new one whenever it is read
            source = ros.start("ct_source", path=str(bench.ct_file), slabs=SLABS)
            ros.spin_until(lambda begun=begun: any(slab.volume_uid not in begun for slab in seen))
            graph.expect_right(next(slab.volume_uid for slab in seen[::-1] if slab.volume_uid not in begun))
        source.terminate()
        source.wait()


def lost_slabs(share: float) -> Callable[[Bench, Any, Tries], None]:
    """A part of the slabs does not come; what is missing is said, and the volume sent again is done."""

    def case(bench: Bench, ros: Any, tries: Tries) -> None:
        graph, rng = Segmenting(bench, ros, slab_timeout_s=0.5), np.random.default_rng(0)
        for number in tries.numbers():
            slabs = graph.slabs(f"lossy-{number}")
            lost = set(rng.choice(SLABS, max(1, round(share * SLABS)), replace=False).tolist())
            graph.send(slab for index, slab in enumerate(slabs) if index not in lost)
            with tries.one():
                ros.wait_for_line("/segmentation 1", f"volume lossy-{number} is incomplete", "are missing")
                graph.send(slabs)
                graph.expect_right(f"lossy-{number}")

    return case


def two_sources(bench: Bench, ros: Any, tries: Tries) -> None:
    """Slabs of two volumes by turns from two publishers: each gets one report, and the one that is done is right."""
    graph, other = Segmenting(bench, ros), ros.publisher("ct", 2 * SLABS)
    for number in tries.numbers():
        uids = f"left-{number}", f"right-{number}"
        with tries.one():
            for left, right in zip(*map(graph.slabs, uids), strict=True):
                graph.publisher.publish(left)
                other.publish(right)
            ros.spin_until(lambda uids=uids: {*uids} <= {report.volume_uid for report in graph.reports})
            of = {uid: [report.status for report in graph.reports if report.volume_uid == uid] for uid in uids}
            expect(all(len(status) == 1 for status in of.values()), f"reports: {of}")
            found = [uid for uid in uids if of[uid] == [SegmentationReport.STATUS_FOUND]]
            ended = {SegmentationReport.STATUS_FOUND, SegmentationReport.STATUS_CANCELLED}
            expect(bool(found) and {status for [status] in of.values()} <= ended, f"reports: {of}")
            graph.expect_right(found[0])


def other_geometry(bench: Bench, ros: Any, tries: Tries) -> None:
    """In the middle of a volume comes a slab of another grid under its uid: it is refused, and the volume is done."""
    graph, ct = Segmenting(bench, ros), bench.ct
    for number in tries.numbers():
        uid = f"mixed-{number}"
        slabs = graph.slabs(uid)
        other = graph.slabs(uid, geometry=Geometry(ct.geometry.size, (1.0, 1.0, 1.0)))
        with tries.one():
            graph.send([*slabs[:20], *other[10:12], *slabs[20:]])
            graph.expect_right(uid)


def stuck_subscriber(bench: Bench, ros: Any, tries: Tries) -> None:
    """A process that subscribed to all and was stopped: it reads nothing, and its queues fill."""
    graph = Segmenting(bench, ros)
    environment = {**os.environ, "ROS_DOMAIN_ID": str(ros.domain)}
    stuck = subprocess.Popen([sys.executable, "-c", STUCK], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert stuck.stdout is not None and stuck.stdout.readline() == "here\n"
        for number in tries.numbers():
            with tries.one():
                graph.send(graph.slabs(f"unread-{number}"))
                graph.expect_right(f"unread-{number}")
    finally:
        stuck.kill()
        stuck.wait()


def full_disk(bench: Bench, ros: Any, tries: Tries) -> None:
    """No file grows any more, shared memory's included, and what a node says meets a full device."""
    for number in tries.numbers():
        ros.log_of_next("segmentation").symlink_to("/dev/full")
        graph = Segmenting(bench, ros)
        resource.prlimit(graph.process.pid, resource.RLIMIT_FSIZE, (0, 0))
        with tries.one():
            graph.send(graph.slabs(f"full-{number}"))
            ros.spin_until(lambda graph=graph: bool(graph.reports) and bool(graph.volumes))
            expect(np.array_equal(graph.volumes[-1].array, bench.labels.array), "other labels")
            graph.process.terminate()
            expect(graph.process.wait(10) == 0, f"exit code {graph.process.returncode}")
        ros.node.destroy_publisher(graph.publisher)


def malformed(bench: Bench, ros: Any, tries: Tries) -> None:
    """2000 messages with some fields of chance; then the right volume."""
    graph = Segmenting(bench, ros, max_volume_mb=64)
    graph.send(graph.slabs("before"))
    graph.expect_right("before")
    rng = np.random.default_rng(0)
    for number in tries.numbers():
        before_mb = memory_mb(graph.process)
        for _ in range(2000):
            graph.publisher.publish(spoiled(graph.slabs("x")[0], rng))
            ros.spin_for(0.001)
        with tries.one():
            graph.send(graph.slabs(f"after-{number}"))
            graph.expect_right(f"after-{number}")
            grown_mb = memory_mb(graph.process) - before_mb
            expect(grown_mb < MOST_GROWN_MB, f"the node grew by {grown_mb:.0f} MB")


def spoiled(slab: VolumeMessage, rng: np.random.Generator) -> VolumeMessage:
    """Some fields of chance: numbers that are none, negative or endless, texts of others, bytes of any number."""
    real = [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-320, 1e308, 1e-3]
    whole = [0, 1, 2, 255, 65536, 2**31, 2**32 - 1]
    for name in rng.choice(["volume_uid", "encoding", "size", "spacing_m", "pose", "slices", "data", "compression"], 3):
        if name in ("volume_uid", "encoding", "compression"):
            setattr(
                slab,
                name,
                str(rng.choice(["", "zlib", "8UC1", "32FC1", "\x1b[2J", "x" * 5000, f"u{rng.integers(99)}"])),
            )
        elif name == "size":
            slab.size = rng.choice(whole, 3).astype(np.uint32)
        elif name == "spacing_m":
            slab.spacing_m = rng.choice(real, 3)
        elif name == "pose":
            slab.pose.orientation.x, slab.pose.position.y = map(float, rng.choice(real, 2))
        elif name == "slices":
            slab.first_slice, slab.slice_count = map(int, rng.choice(whole, 2))
        else:
            slab.data = rng.bytes(int(rng.integers(0, 5000)))
    return slab


def memory_mb(process: subprocess.Popen) -> float:
    """Resident, of a running process."""
    text = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def signals(bench: Bench, ros: Any, tries: Tries) -> None:
    """SIGINT or SIGTERM at any moment of a process that begins, reads, segments and reconstructs."""
    rng = np.random.default_rng(0)
    for number in tries.numbers():
        process = ros.start("liver_seg", str(bench.ct_file), models_dir=str(bench.models))
        while "SigCgt" in (text := Path(f"/proc/{process.pid}/status").read_text()):
            if int(text.partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGTERM - 1) & 1:
                break  # before that Python itself has not begun
        time.sleep(rng.uniform(0.0, 8.0))
        with tries.one():
            process.send_signal((signal.SIGINT, signal.SIGTERM)[number % 2])
            expect(process.wait(10) == 0, f"exit code {process.returncode}")
            expect("Traceback" not in ros.log("liver_seg"), "a traceback in the log")


CASES: dict[str, Callable[[Bench, Any, Tries], None]] = {
    "`segmentation` killed, at each stage": killed_segmentation,
    "`reconstruction` killed, at each stage": killed_reconstruction,
    "`ct_source` killed in the middle of a volume": killed_source,
    "1 % of the slabs lost": lost_slabs(0.01),
    "20 % of the slabs lost": lost_slabs(0.2),
    "two sources at once": two_sources,
    "another geometry in the middle of a volume": other_geometry,
    "a subscriber that never reads": stuck_subscriber,
    "disk full, shared memory and log too": full_disk,
    "2000 malformed messages": malformed,
    "SIGINT or SIGTERM at any moment": signals,
}
