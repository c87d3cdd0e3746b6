"""How long a CT takes from one process to another over DDS, from numpy array to numpy array.

    tools/setup/run.sh python benchmarks/transport.py                     512x512x300 voxels, 157 MB
    tools/setup/run.sh python benchmarks/transport.py --slices 600 --runs 9

Prints Markdown: this package's slabs against one plain message with the voxels assigned to its field, both in the same
run; with the memory setting of our nodes, and with the Fast DDS profile in `config/` besides. Sender and receiver are
processes of their own, started anew for each row; the median of several volumes is given.
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
WAYS = {  # name -> (slabs, memory setting, profile)
    "one message, voxels assigned (`message.data = array`)": (0, False, False),
    "slabs": (32, False, False),
    "slabs, memory setting": (32, True, False),
    "slabs, memory setting, `config/fastdds_shm.xml`": (32, True, True),
}
SHAPE_JI = (512, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300, help="of 512x512 voxels (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="volumes per way, after one that is not counted")
    parser.add_argument("--role", choices=("sender", "receiver"), help=argparse.SUPPRESS)
    parser.add_argument("--slabs", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        if options.memory:
            from liver_seg_ros.malloc import keep_freed_memory

            keep_freed_memory()
        (_send if options.role == "sender" else _receive)(options)
        return
    megabytes = options.slices * SHAPE_JI[0] * SHAPE_JI[1] * 2 / 1e6
    sys.stdout.write(f"A CT of 512x512x{options.slices} voxels, {megabytes:.0f} MB; median of {options.runs}. ")
    sys.stdout.write(f"{machine()}.\n\n| method | milliseconds | against the first |\n| --- | ---: | ---: |\n")
    first = None
    for name, way in WAYS.items():
        milliseconds = statistics.median(_time(options, *way)) * 1000
        first = first or milliseconds
        sys.stdout.write(f"| {name} | {milliseconds:.0f} | {first / milliseconds:.1f}x |\n")
        sys.stdout.flush()


def _time(options: argparse.Namespace, slabs: int, memory: bool, profile: bool) -> list[float]:
    """Seconds per volume of one way."""
    environment = {
        **os.environ,
        "ROS_DOMAIN_ID": str(100 + os.getpid() % 100),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    if profile:
        environment["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(PROFILE)
    command = [sys.executable, __file__, "--slices", str(options.slices), "--runs", str(options.runs)]
    command += ["--slabs", str(slabs), "--memory", str(int(memory)), "--role"]
    receiver = subprocess.Popen([*command, "receiver"], env=environment, stdout=subprocess.PIPE, text=True)
    sender = subprocess.Popen([*command, "sender"], env=environment)
    try:
        output, _ = receiver.communicate(timeout=300)
    finally:
        receiver.kill()
        sender.kill()
        sender.wait()
    seconds: list[float] = json.loads(output)
    return seconds


def _send(options: argparse.Namespace) -> None:
    """Publish a volume, wait for the receiver's word, publish the next."""
    import rclpy
    from builtin_interfaces.msg import Time
    from std_msgs.msg import UInt64

    from liver_seg_interfaces.msg import Volume as VolumeMessage
    from liver_seg_ros.geometry import Geometry
    from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
    from liver_seg_ros.nodes.qos import latched, live
    from liver_seg_ros.volume import Volume

    rclpy.init()
    node = rclpy.create_node("sender")
    shape = (options.slices, *SHAPE_JI)
    ct = np.random.default_rng(0).integers(-1000, 1000, shape, np.int16)
    geometry = Geometry(shape[::-1], (0.75, 0.75, 1.0))
    got: list[int] = []
    node.create_subscription(UInt64, "got", lambda message: got.append(message.data), live())
    publisher = node.create_publisher(VolumeMessage, "ct", latched(max(options.slabs, 1)))
    while publisher.get_subscription_count() == 0 or node.count_publishers("got") == 0:
        rclpy.spin_once(node, timeout_sec=0.1)
    for run in range(options.runs + 1):
        began_ns = time.monotonic_ns()  # one clock for both processes
        if options.slabs:
            stamp = Time(sec=began_ns // 10**9, nanosec=began_ns % 10**9)
            for message in volume_to_slabs(Volume(ct, geometry, f"run-{run}"), options.slabs, stamp):
                publisher.publish(message)
        else:
            message = next(volume_to_slabs(Volume(ct[:1], Geometry((512, 512, 1)), f"run-{run}"), 1, Time()))
            message.header.stamp = Time(sec=began_ns // 10**9, nanosec=began_ns % 10**9)
            message.size = np.array(geometry.size, np.uint32)
            message.slice_count = options.slices
            message.data = ct.tobytes()
            publisher.publish(message)
        while len(got) <= run:
            rclpy.spin_once(node, timeout_sec=0.1)
    rclpy.shutdown()


def _receive(options: argparse.Namespace) -> None:
    """Print the seconds that each volume but the first took, as JSON."""
    import rclpy
    from std_msgs.msg import UInt64

    from liver_seg_interfaces.msg import Volume as VolumeMessage
    from liver_seg_ros.nodes.messages.assembler import Assembler
    from liver_seg_ros.nodes.messages.volumes import message_to_slab
    from liver_seg_ros.nodes.qos import latched, live

    rclpy.init()
    node = rclpy.create_node("receiver")
    assembler = Assembler(np.int16, 60.0, 2 * 10**9)
    seconds: list[float] = []
    got = node.create_publisher(UInt64, "got", live())

    def on_slab(message: VolumeMessage) -> None:
        slab = message_to_slab(message)
        if assembler.add(slab, time.monotonic()) is not None:
            seconds.append((time.monotonic_ns() - slab.stamp_ns) / 1e9)
            got.publish(UInt64(data=len(seconds)))

    node.create_subscription(VolumeMessage, "ct", on_slab, latched(1024))
    while len(seconds) <= options.runs:
        rclpy.spin_once(node, timeout_sec=0.1)
    time.sleep(0.5)  # the last word to the sender
    json.dump(seconds[1:], sys.stdout)
    rclpy.shutdown()


if __name__ == "__main__":
    main()
