# SPDX-License-Identifier: Apache-2.0
"""How soon after a CT the graph has a coarse liver (`segmentation/preview`), its labels, and the report on them.

    tools/setup/run.sh python benchmarks/first_label.py                      a phantom of 512x512x300 voxels, synthetic
    tools/setup/run.sh python benchmarks/first_label.py --ct CT --volumes 9
    tools/setup/run.sh python benchmarks/first_label.py --without            and the labels without a preview, in turn

Prints Markdown. Seconds from the CT's stamp, which it gets when it is published, until an observer in a process of its
own has the message, whole. The first CT of a process is told apart from the median of those that follow.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from math import inf
from pathlib import Path
from statistics import median

from _machine import machine

SEED = 9001
SPACING_MM = "0.75,0.75,1.0"
#: A service is ready for its client before it knows the client, and may lose what it is asked meanwhile.
ASKED_AGAIN_S = 30.0
#: What comes, in the order in which it does.
MOMENTS = ("coarse liver", "labels", "report")
SEPARATE, COMPOSED = "`ct_source` and `segmentation`", "composed, `liver_seg CT`"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ct", type=Path, help="file or DICOM folder; a phantom where not given")
    parser.add_argument("--size", default="512,512,300", help="of the phantom, voxels I,J,K (%(default)s)")
    parser.add_argument("--volumes", type=int, default=6, help="of each process (%(default)s)")
    parser.add_argument("--without", action="store_true", help="also measure with the parameter `preview` false")
    parser.add_argument("--rounds", type=int, default=1, help="of all that is measured (%(default)s)")
    parser.add_argument("--observe", type=int, help=argparse.SUPPRESS)  # the process of its own: how many volumes
    options = parser.parse_args()
    if options.observe:
        _observe(options.observe)
        return
    with tempfile.TemporaryDirectory() as folder:
        ct = options.ct or _phantom(options.size, Path(folder) / "case")
        sys.stdout.write(f"{ct.name}, {options.volumes} volumes a process. {machine()}, ")
        sys.stdout.write(f"load before {os.getloadavg()[0]:.1f}.\n\n")
        sys.stdout.write("| nodes | CT of its process |" + "".join(f" {moment}, s |" for moment in MOMENTS) + "\n")
        sys.stdout.write("| --- | --- |" + " ---: |" * len(MOMENTS) + "\n")
        previews = (True, False) if options.without else (True,)
        for _ in range(options.rounds):
            for name in (SEPARATE, COMPOSED):
                for preview in previews:
                    volumes = _measure(name, ct, preview, options.volumes)
                    _tell(name if preview else f"{name}, no preview", volumes)
        sys.stdout.write(f"\nLoad after {os.getloadavg()[0]:.1f}.\n")


def _phantom(size: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "liver_seg_ros", "phantom", "-o", str(folder), "--seed", str(SEED)]
    command += ["--size", size, "--spacing-mm", SPACING_MM, "--phase", "portal_venous"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "ct.nii.gz"


def _tell(name: str, volumes: list[dict[str, float]]) -> None:
    first, *rest = volumes
    for which, some in (("first", [first]), (f"next {len(rest)}", rest)):
        if not some:
            continue
        cells = []
        for moment in MOMENTS:
            seconds = [volume[moment] for volume in some if moment in volume]
            spread = f" ({min(seconds):.2f} to {max(seconds):.2f})" if len(seconds) > 1 else ""
            cells.append(f"{median(seconds):.2f}{spread}" if seconds else "-")
        sys.stdout.write(f"| {name} | {which} | {' | '.join(cells)} |\n")
    sys.stdout.flush()


def _measure(name: str, ct: Path, preview: bool, volumes: int) -> list[dict[str, float]]:
    """{moment: seconds from the CT} of each volume."""
    domain = 87 + (name == COMPOSED)
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    ros = ["--ros-args", "-p", "autostart:=true", "-p", "worker_niceness:=0"]
    own = [] if preview else ["-p", "preview:=false"]
    if name == COMPOSED:
        commands = [["liver_seg", str(ct), *ros, *own]]
    else:
        commands = [["segmentation", *ros, *own], ["ct_source", *ros, "-p", f"path:={json.dumps(str(ct))}"]]
    running = []
    try:
        observer = [sys.executable, __file__, "--observe", str(volumes)]
        watching = subprocess.Popen(observer, env=environment, stdout=subprocess.PIPE, text=True)
        running.append(watching)
        for module, *rest in commands:
            command = [sys.executable, "-m", f"liver_seg_ros.nodes.{module}", *rest]
            running.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
            if module == "segmentation":
                _wait_until_active(environment)
        told, _ = watching.communicate()
    finally:
        for process in running:
            process.terminate()
            process.wait()
    if watching.returncode:
        raise SystemExit("the observer failed")
    return json.loads(told.splitlines()[-1])


def _wait_until_active(environment: dict[str, str]) -> None:
    """So that the CT arrives at a node that is ready for it."""
    code = """
import rclpy, time
from lifecycle_msgs.srv import GetState
rclpy.init()
node = rclpy.create_node("waiting")
client = node.create_client(GetState, "/segmentation/get_state")
while True:
    future = client.call_async(GetState.Request())
    rclpy.spin_until_future_complete(node, future, timeout_sec=1.0)
    if future.done() and future.result().current_state.label == "active":
        break
    time.sleep(0.1)
"""
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def _observe(volumes: int) -> None:
    """Have the CT published so often; print as JSON when what came."""
    import rclpy
    from std_srvs.srv import Trigger

    from liver_seg_interfaces.msg import SegmentationReport, Volume, VolumeHandle
    from liver_seg_ros.nodes.qos import latched

    rclpy.init()
    node = rclpy.create_node("observer")
    began_s: list[float] = []
    found: list[dict[str, float]] = []
    slices: dict[float, int] = {}  # of the labels of a stamp

    def note(moment: str) -> None:
        if found:
            found[-1].setdefault(moment, time.time() - began_s[-1])

    def on_ct(handle: VolumeHandle) -> None:
        began_s.append(_seconds(handle))
        found.append({})

    def on_labels(slab: Volume) -> None:
        stamp = _seconds(slab)
        slices[stamp] = slices.get(stamp, 0) + slab.slice_count
        if slices[stamp] == slab.size[2]:
            note("labels")

    node.create_subscription(VolumeHandle, "/ct/handle", on_ct, latched(1))
    node.create_subscription(Volume, "/segmentation/preview", lambda _: note("coarse liver"), latched(1))
    node.create_subscription(Volume, "/labels", on_labels, latched(1024))
    node.create_subscription(SegmentationReport, "/segmentation/report", lambda _: note("report"), latched(1))
    publish = node.create_client(Trigger, "/ct_source/publish")
    for volume in range(volumes):
        ask_at_s = time.monotonic() if volume else inf  # the first one comes by itself
        while len(found) <= volume or not {"labels", "report"} <= found[-1].keys():
            if len(found) <= volume and time.monotonic() >= ask_at_s and publish.service_is_ready():
                publish.call_async(Trigger.Request())
                ask_at_s = time.monotonic() + ASKED_AGAIN_S
            rclpy.spin_once(node, timeout_sec=0.1)
        settled_s = time.monotonic() + 0.5  # whatever of this volume is under way
        while time.monotonic() < settled_s:
            rclpy.spin_once(node, timeout_sec=0.1)
    rclpy.shutdown()
    sys.stdout.write(json.dumps(found) + "\n")


def _seconds(message) -> float:
    return message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec


if __name__ == "__main__":
    main()
