# SPDX-License-Identifier: Apache-2.0
"""How long a CT takes from one process to another over DDS, from numpy array to numpy array.

    tools/setup/run.sh python benchmarks/transport.py                     512x512x300 voxels, 157 MB
    tools/setup/run.sh python benchmarks/transport.py --slices 600 --runs 9

Prints Markdown: this package's slabs against one plain message with the voxels assigned to its field, both in the same
run; with the memory setting of our nodes, and with the Fast DDS profile in `config/` besides; a handle of shared
memory, once for an array that lies in such memory, as what a worker process made does, and once for one that is copied
there first; and NumPy's copy of the array to another that was touched before. A CT, then labels of as many voxels.
Sender and receiver are processes of their own, started anew for each row; the median of several volumes is given, until
the array is there, and until each of its voxels was read once besides: what is mapped costs nothing before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from _machine import machine

PROFILE = Path(__file__).resolve().parents[1] / "config" / "fastdds_shm.xml"
HANDLE, HANDLE_OF_COPY = -1, -2
WAYS = {  # name -> (slabs, memory setting, profile)
    "one message, voxels assigned (`message.data = array`)": (0, False, False),
    "slabs": (32, False, False),
    "slabs, memory setting": (32, True, False),
    "slabs, memory setting, `config/fastdds_shm.xml`": (32, True, True),
    "a handle, memory setting": (HANDLE, True, False),
    "a handle, copied to shared memory first, memory setting": (HANDLE_OF_COPY, True, False),
}
SHAPE_JI = (512, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300, help="of 512x512 voxels (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="volumes per way, after one that is not counted")
    parser.add_argument("--role", choices=("sender", "receiver"), help=argparse.SUPPRESS)
    parser.add_argument("--slabs", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--labels", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        if options.memory:
            from liver_seg_ros.malloc import keep_freed_memory

            keep_freed_memory()
        (_send if options.role == "sender" else _receive)(options)
        return
    sys.stdout.write(f"Median of {options.runs}. {machine()}, load before {os.getloadavg()[0]:.1f}.\n")
    for what, labels, voxel_bytes in (("A CT", 0, 2), ("Labels", 1, 1)):
        options.labels = labels
        megabytes = options.slices * SHAPE_JI[0] * SHAPE_JI[1] * voxel_bytes / 1e6
        sys.stdout.write(f"\n{what} of 512x512x{options.slices} voxels, {megabytes:.0f} MB:\n\n")
        sys.stdout.write("| method | milliseconds | against the first | until read once | against the first |\n")
        sys.stdout.write("| --- | ---: | ---: | ---: | ---: |\n")
        first: list[float] = []
        for name, way in WAYS.items():
            _write_row(name, _time(options, *way), first)
        _write_row("a copy in memory (`np.copyto`)", _copies(options), first)


def _write_row(name: str, seconds: list[tuple[float, float]], first: list[float]) -> None:
    """`seconds` is, per volume, until it was there and until it was read; `first` is the first row, if there is one."""
    milliseconds = [1000 * statistics.median(column) for column in zip(*seconds, strict=True)]
    first += milliseconds[len(first) :]
    columns = (f" {ms:.0f} | {of_first / ms:.1f}x |" for ms, of_first in zip(milliseconds, first, strict=True))
    sys.stdout.write(f"| {name} |{''.join(columns)}\n")
    sys.stdout.flush()


def _array(options: argparse.Namespace) -> np.ndarray:
    shape = (options.slices, *SHAPE_JI)
    if options.labels:
        return np.random.default_rng(0).integers(0, 4, shape, np.uint8)
    return np.random.default_rng(0).integers(-1000, 1000, shape, np.int16)


def _copies(options: argparse.Namespace) -> list[tuple[float, float]]:
    """Seconds of copies to memory that was touched before, and of reading the copy besides."""
    array = _array(options)
    copy, seconds = np.zeros_like(array), []
    for _ in range(options.runs + 1):
        began = time.perf_counter()
        np.copyto(copy, array)
        there = time.perf_counter() - began
        copy.max()
        seconds.append((there, time.perf_counter() - began))
    return seconds[1:]


def _time(options: argparse.Namespace, slabs: int, memory: bool, profile: bool) -> list[tuple[float, float]]:
    """Seconds per volume of one way, until it was there and until it was read."""
    environment = {
        **os.environ,
        "ROS_DOMAIN_ID": str(100 + os.getpid() % 100),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    if profile:
        environment["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(PROFILE)
    command = [sys.executable, __file__, "--slices", str(options.slices), "--runs", str(options.runs)]
    command += ["--slabs", str(slabs), "--memory", str(int(memory)), "--labels", str(options.labels), "--role"]
    receiver = subprocess.Popen([*command, "receiver"], env=environment, stdout=subprocess.PIPE, text=True)
    sender = subprocess.Popen([*command, "sender"], env=environment)
    try:
        output, _ = receiver.communicate(timeout=300)
    finally:
        receiver.kill()
        sender.kill()
        sender.wait()
    seconds: list[tuple[float, float]] = json.loads(output)
    return seconds


def _send(options: argparse.Namespace) -> None:
    """Publish a volume, wait for the receiver's word, publish the next."""
    import rclpy
    from builtin_interfaces.msg import Time
    from std_msgs.msg import UInt64

    from liver_seg_interfaces.msg import Volume as VolumeMessage
    from liver_seg_interfaces.msg import VolumeHandle
    from liver_seg_ros.geometry import Geometry
    from liver_seg_ros.nodes.messages.handles import volume_to_handle
    from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
    from liver_seg_ros.nodes.qos import latched, live
    from liver_seg_ros.nodes.shared_memory import Segment, read
    from liver_seg_ros.volume import LabelVolume, Volume

    rclpy.init()
    node = rclpy.create_node("sender")
    array, kind = _array(options), LabelVolume if options.labels else Volume
    geometry = Geometry(array.shape[::-1], (0.75, 0.75, 1.0))
    # As what comes from a worker process: in sealed memory, and mapped.
    made = Segment(array)
    mapped = read(made.place, array.shape, array.dtype, "made")
    segment = None
    got: list[int] = []
    node.create_subscription(UInt64, "got", lambda message: got.append(message.data), live())
    by_handle = options.slabs in (HANDLE, HANDLE_OF_COPY)
    of = VolumeHandle if by_handle else VolumeMessage
    publisher = node.create_publisher(of, "ct", latched(max(options.slabs, 1)))
    while publisher.get_subscription_count() == 0 or node.count_publishers("got") == 0:
        rclpy.spin_once(node, timeout_sec=0.1)
    for run in range(options.runs + 1):
        began_ns = time.monotonic_ns()  # one clock for both processes
        stamp = Time(sec=began_ns // 10**9, nanosec=began_ns % 10**9)
        volume = kind(array, geometry, f"run-{run}")
        if by_handle:
            old, segment = segment, Segment(mapped if options.slabs == HANDLE else array)
            publisher.publish(volume_to_handle(volume, segment.place, stamp))
            if old is not None:
                old.release()
        elif options.slabs:
            for message in volume_to_slabs(volume, options.slabs, stamp):
                publisher.publish(message)
        else:
            message = next(volume_to_slabs(volume, 1, stamp))
            message.data = array.tobytes()
            publisher.publish(message)
        while len(got) <= run:
            rclpy.spin_once(node, timeout_sec=0.1)
    if segment is not None:
        segment.release()
    rclpy.shutdown()


def _receive(options: argparse.Namespace) -> None:
    """Print the seconds that each volume but the first took until it was there and until it was read, as JSON."""
    import rclpy
    from std_msgs.msg import UInt64

    from liver_seg_interfaces.msg import Volume as VolumeMessage
    from liver_seg_interfaces.msg import VolumeHandle
    from liver_seg_ros.nodes.messages.assembler import Assembler
    from liver_seg_ros.nodes.messages.handles import handle_to_slab
    from liver_seg_ros.nodes.messages.volumes import message_to_slab
    from liver_seg_ros.nodes.qos import latched, live

    rclpy.init()
    node = rclpy.create_node("receiver")
    assembler = Assembler(np.uint8 if options.labels else np.int16, 60.0, 2 * 10**9)
    seconds: list[tuple[float, float]] = []
    got = node.create_publisher(UInt64, "got", live())

    by_handle = options.slabs in (HANDLE, HANDLE_OF_COPY)

    def on_slab(message: VolumeMessage | VolumeHandle) -> None:
        slab = handle_to_slab(message) if by_handle else message_to_slab(message)
        assembled = assembler.add(slab, time.monotonic())
        if assembled is not None:
            there = time.monotonic_ns() - slab.stamp_ns
            assembled.array.max()
            seconds.append((there / 1e9, (time.monotonic_ns() - slab.stamp_ns) / 1e9))
            got.publish(UInt64(data=len(seconds)))

    node.create_subscription(VolumeHandle if by_handle else VolumeMessage, "ct", on_slab, latched(1024))
    while len(seconds) <= options.runs:
        rclpy.spin_once(node, timeout_sec=0.1)
    time.sleep(0.5)  # the last word to the sender
    json.dump(seconds[1:], sys.stdout)
    rclpy.shutdown()


if __name__ == "__main__":
    main()
