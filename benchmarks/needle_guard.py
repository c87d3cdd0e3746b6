# SPDX-License-Identifier: Apache-2.0
"""How late and how right the needle's guard is, and whether it stays so.

    tools/setup/run.sh python benchmarks/needle_guard.py                      on the phantom of seed 9300, synthetic
    tools/setup/run.sh python benchmarks/needle_guard.py --seconds 60 --hours 1

Prints Markdown. How late: a process of its own publishes TF at 100 Hz over DDS and takes the time until the reading
that has the same stamp comes back, on a quiet machine and while the nodes of another namespace segment CTs one after
the other.
How right, and for how long: the same geometry asked in one process as often as in so many hours at 100 Hz, with a
needle that wanders through the liver; memory before and after, and a thousand of the readings against distances to the
mesh taken every 0.05 mm along the needle.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _machine import machine

ROOT = Path(__file__).resolve().parents[1]
SEED = 9300
RATE_HZ = 100.0
CHECKED = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="of each measurement over DDS (%(default)s)")
    parser.add_argument("--hours", type=float, default=1.0, help="at 100 Hz, asked one after the other (%(default)s)")
    parser.add_argument("--role", choices=("tracker",), help=argparse.SUPPRESS)
    parser.add_argument("--labels", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        _track(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case"
        command = [sys.executable, "-m", "liver_seg_ros", "phantom", "--seed", str(SEED), "-o", str(case)]
        subprocess.run(command, check=True, capture_output=True)
        sys.stdout.write(f"Phantom {SEED}, synthetic. {machine()}.\n\n")
        sys.stdout.write("| milliseconds from TF to reading | median | 99th percentile | largest | readings | lost |\n")
        sys.stdout.write("| --- | ---: | ---: | ---: | ---: | ---: |\n")
        for name, busy in (("nothing else of this package runs", False), ("CTs are segmented by other nodes", True)):
            late_ms, sent = _latencies(options, case, busy)
            median, late = np.percentile(late_ms, [50, 99])
            lost = sent - len(late_ms)
            sys.stdout.write(f"| {name} | {median:.1f} | {late:.1f} | {max(late_ms):.1f} | {len(late_ms)} | {lost} |\n")
            sys.stdout.flush()
        _wander(options.hours, case)


def _latencies(options: argparse.Namespace, case: Path, busy: bool) -> tuple[list[float], int]:
    environment = {**os.environ, "ROS_DOMAIN_ID": str(85 + int(busy)), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    guard = [sys.executable, "-m", "liver_seg_ros.nodes.needle_guard", "--ros-args", "-p", "autostart:=true"]
    guard += ["-p", "max_speed_m_s:=100.0", "-p", "tf_timeout_s:=1.0"]
    running = [subprocess.Popen(guard, env=environment, stderr=subprocess.DEVNULL)]
    if busy:
        nodes = [sys.executable, "-m", "liver_seg_ros.nodes.liver_seg", f"{case}/ct.nii.gz", "--ros-args"]
        nodes += ["-r", "__ns:=/busy", "-p", "autostart:=true"]
        running.append(subprocess.Popen(nodes, env=environment, stderr=subprocess.DEVNULL))
    command = [sys.executable, __file__, "--role", "tracker", "--labels", str(case / "labels.nii.gz")]
    try:
        tracker = subprocess.run(
            [*command, "--seconds", str(options.seconds)], env=environment, check=True, capture_output=True, text=True
        )
    finally:
        for process in running:
            process.terminate()
            process.wait()
    answer = json.loads(tracker.stdout.splitlines()[-1])
    return answer["late_ms"], answer["sent"]


def _anatomy(path: str):
    from liver_seg_ros.files.label_sources import read_label_source
    from liver_seg_ros.reconstruction.pipeline import reconstruct

    return reconstruct(read_label_source(Path(path), None, None).labels)


def _track(options: argparse.Namespace) -> None:
    """Publish the meshes, then TF at `RATE_HZ`; print how long each reading took to come."""
    import rclpy
    from geometry_msgs.msg import TransformStamped
    from rclpy.executors import SingleThreadedExecutor
    from std_srvs.srv import Trigger
    from tf2_msgs.msg import TFMessage

    from liver_seg_interfaces.msg import GuardReading, SegmentationReport, StructureMeshArray
    from liver_seg_ros.nodes.messages.meshes import meshes_to_array
    from liver_seg_ros.nodes.qos import latched, live
    from liver_seg_ros.nodes.realtime import go_first

    made = _anatomy(options.labels)
    rclpy.init()
    node = rclpy.create_node("tracker")
    go_first(1)  # as a robot's controller would: its own lateness is not the guard's
    stamp = node.get_clock().now().to_msg()
    array = meshes_to_array(made.meshes, made.measurements, "phantom", stamp)
    node.create_publisher(StructureMeshArray, "meshes", latched(1)).publish(array)
    publisher = node.create_publisher(TFMessage, "/tf", 100)
    sent: dict[int, float] = {}
    late_ms: list[float] = []
    last = 0.0
    count = 0

    def on_reading(message: GuardReading) -> None:
        stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        began = sent.pop(stamp_ns, None)
        if message.tip_known and began is not None:
            late_ms.append((time.monotonic() - began) * 1000)

    node.create_subscription(GuardReading, "needle_guard/reading", on_reading, live())
    again = node.create_client(Trigger, "/busy/ct_source/publish")
    node.create_subscription(
        SegmentationReport, "/busy/segmentation/report", lambda _: again.call_async(Trigger.Request()), live()
    )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    places = _places(made.meshes, np.random.default_rng(0))
    end: float | None = None
    while end is None or time.monotonic() < end:
        if time.monotonic() - last >= 1 / RATE_HZ:
            last = time.monotonic()
            tip_mm, turn = next(places)
            told = TransformStamped(child_frame_id="needle_tip")
            told.header.frame_id = "ct_lps"
            now_ns = node.get_clock().now().nanoseconds
            told.header.stamp.sec, told.header.stamp.nanosec = divmod(now_ns, 1_000_000_000)
            shift, rotation = told.transform.translation, told.transform.rotation
            shift.x, shift.y, shift.z = (tip_mm / 1000).tolist()
            rotation.x, rotation.y, rotation.z, rotation.w = turn.tolist()
            sent[now_ns] = time.monotonic()
            publisher.publish(TFMessage(transforms=[told]))
            count += end is not None
        executor.spin_once(0.001)
        if end is None and late_ms:  # the guard is ready
            late_ms.clear()
            sent.clear()
            end = time.monotonic() + options.seconds
    sys.stdout.write(json.dumps({"late_ms": late_ms, "sent": count}) + "\n")


def _places(meshes, rng: np.random.Generator):
    """Tips that wander through the box of the liver, and how the needle points, as quaternions; for ever."""
    low, high = meshes[0].vertices_mm.min(axis=0), meshes[0].vertices_mm.max(axis=0)
    tip = (low + high) / 2
    while True:
        aim, turn = rng.uniform(low, high), rng.normal(size=4)
        turn /= np.linalg.norm(turn)
        for _ in range(100):
            tip = tip + np.clip(aim - tip, -2, 2)
            yield tip, turn


def _wander(hours: float, case: Path) -> None:
    import resource

    from scipy.spatial.transform import Rotation

    from liver_seg_ros.planning.clearance import distance_fields
    from liver_seg_ros.planning.guard import Guard, Level, Needle
    from liver_seg_ros.planning.transform import RigidTransform

    made = _anatomy(str(case / "labels.nii.gz"))
    fields = distance_fields(made.meshes)
    needle = Needle()
    guard = Guard(fields, needle)
    places = _places(made.meshes, np.random.default_rng(1))
    total = round(hours * 3600 * RATE_HZ)
    every = max(1, total // CHECKED)
    off_mm: list[float] = []
    missed = stops = 0
    peak_kb = 0
    began = time.monotonic()
    for number in range(total):
        tip, turn = next(places)
        placed = RigidTransform.of(Rotation.from_quat(turn).as_matrix(), tip)
        reading = guard.read(placed)
        stops += reading.level == Level.STOP
        if number % every == 0:
            tip_mm, end_mm = needle.placed(placed)
            share = np.linspace(0, 1, round(needle.length_mm / 0.05) + 1)[:, None]
            along = tip_mm + share * (end_mm - tip_mm)
            for clearance in reading.clearances:
                exact = float(fields[clearance.structure].distance(along).min()) - needle.radius_mm
                off_mm.append(abs(clearance.clearance_mm - exact))
                missed += exact <= 0 and reading.level != Level.STOP
        if number == total // 10:
            peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = time.monotonic() - began
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kb) / 1000
    sys.stdout.write(
        f"\n{total} readings, {hours:g} h at 100 Hz, in {seconds:.0f} s ({total / seconds:.0f} a second), {stops} STOP."
        f" Of {len(off_mm)} clearances that were checked the largest error is {max(off_mm):.3f} mm; {missed} STOP were "
        f"missed. Peak memory grew by {grown_mb:.1f} MB after the first tenth.\n"
    )


if __name__ == "__main__":
    main()
