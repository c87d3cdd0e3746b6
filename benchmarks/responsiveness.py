# SPDX-License-Identifier: Apache-2.0
"""How soon nodes answer while a CT is segmented and reconstructed, in processes of its own or in that of the nodes.

    tools/setup/run.sh python benchmarks/responsiveness.py                    on the phantom of seed 9300, synthetic
    tools/setup/run.sh python benchmarks/responsiveness.py --volumes 5 --rate 50

Prints Markdown. The composed process `liver_seg` reads the CT itself, again and again; a process of its own asks its
nodes for parameters and for their lifecycle states at a steady rate, and takes the time until each answer, from the
moment when the work on the first volume begins until the last one is reconstructed. Last, the nodes are deactivated in
the middle of the work, and the time until the report says so is taken.
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

SEED = 9300
WAYS = {"in the nodes' process (`worker_process:=false`)": False, "in processes of its own": True}
NODES = ("ct_source", "segmentation", "reconstruction")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=3, help="that are worked on (%(default)s)")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second to each service (%(default)s)")
    parser.add_argument("--size", help="of the phantom, as `liver-seg phantom --size` takes it")
    parser.add_argument("--role", choices=("asker",), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        _ask(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case"
        command = [sys.executable, "-m", "liver_seg_ros", "phantom", "--seed", str(SEED), "-o", str(case)]
        command += ["--size", options.size] if options.size else []
        subprocess.run(command, check=True, capture_output=True)
        sys.stdout.write(f"Phantom {SEED}, synthetic, {options.volumes} volumes. {machine()}, ")
        sys.stdout.write(f"load before {os.getloadavg()[0]:.1f}.\n\n")
        sys.stdout.write("| the work is done | answers, ms: median | 99th percentile | largest | answers | lost |")
        sys.stdout.write(" largest gap of diagnostics, s | cancelled after, s | seconds a volume |\n")
        sys.stdout.write("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
        for number, (name, apart) in enumerate(WAYS.items()):
            found = _measure(options, case / "ct.nii.gz", 87 + number, apart)
            median, late = np.percentile(found["answers_ms"], [50, 99])
            sys.stdout.write(
                f"| {name} | {median:.1f} | {late:.1f} | {max(found['answers_ms']):.1f} | {len(found['answers_ms'])} |"
                f" {found['lost']} | {found['gap_s']:.2f} | {found['cancelled_s']:.2f} | {found['seconds']:.1f} |\n"
            )
            sys.stdout.flush()


def _measure(options: argparse.Namespace, ct: Path, domain: int, apart: bool) -> dict:
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    ros = ["--ros-args", "-p", "autostart:=true", "-p", f"worker_process:={str(apart).lower()}"]
    command = [sys.executable, "-m", "liver_seg_ros.nodes.liver_seg", str(ct), *ros]
    nodes = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    asking = [sys.executable, __file__, "--role", "asker", "--volumes", str(options.volumes)]
    asking += ["--rate", str(options.rate)]
    try:
        asked = subprocess.run(asking, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    finally:
        nodes.terminate()
        nodes.wait()
    return json.loads(asked.stdout.splitlines()[-1])


def _ask(options: argparse.Namespace) -> None:
    """Ask until all volumes are done, cancel one more; print what was measured as JSON."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState, GetState
    from rcl_interfaces.srv import GetParameters
    from rclpy.executors import SingleThreadedExecutor
    from std_srvs.srv import Trigger

    from liver_seg_interfaces.msg import Progress, SegmentationReport
    from liver_seg_ros.nodes.qos import latched, live

    rclpy.init()
    node = rclpy.create_node("asker")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    progress: list[Progress] = []
    reports: dict[str, list[SegmentationReport]] = {"segmentation": [], "reconstruction": []}
    said_at: list[float] = []
    node.create_subscription(DiagnosticArray, "/diagnostics", lambda _: said_at.append(time.monotonic()), 100)
    node.create_subscription(Progress, "/segmentation/progress", progress.append, live(1000))
    for name, kept in reports.items():
        node.create_subscription(SegmentationReport, f"/{name}/report", kept.append, latched(10))
    clients = [
        (node.create_client(kind, f"/{name}/{service}"), request)
        for name in NODES
        for kind, service, request in (
            (GetParameters, "get_parameters", GetParameters.Request(names=["autostart"])),
            (GetState, "get_state", GetState.Request()),
        )
    ]
    publish = node.create_client(Trigger, "/ct_source/publish")
    change = node.create_client(ChangeState, "/segmentation/change_state")

    def until(true) -> None:
        while not true():
            executor.spin_once(0.005)

    until(lambda: all(client.service_is_ready() for client, _ in (*clients, (publish, None), (change, None))))
    until(lambda: bool(progress))
    answers_ms: list[float] = []
    began, asked, next_at = time.monotonic(), 0, time.monotonic()

    def ask() -> None:
        nonlocal asked, next_at
        if time.monotonic() < next_at:
            return
        next_at += 1 / options.rate
        for client, request in clients:
            sent = time.monotonic()
            asked += 1
            future = client.call_async(request)
            future.add_done_callback(lambda _, sent=sent: answers_ms.append(1000 * (time.monotonic() - sent)))

    for volume in range(options.volumes):
        if volume:
            publish.call_async(Trigger.Request())

        def done(volume=volume) -> bool:
            ask()
            return len(reports["reconstruction"]) > volume

        until(done)
    seconds = (time.monotonic() - began) / options.volumes
    end = time.monotonic()
    until(lambda: len(answers_ms) == asked or time.monotonic() > end + 5)
    times = [began, *(moment for moment in said_at if began < moment < end), end]
    progress.clear()
    publish.call_async(Trigger.Request())
    until(lambda: any(message.stage == "segment" and message.stage_fraction > 0.2 for message in progress))
    before = len(reports["segmentation"])
    cancelled = time.monotonic()
    change.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE)))
    until(lambda: len(reports["segmentation"]) > before)
    measured = {
        "answers_ms": answers_ms,
        "lost": asked - len(answers_ms),
        "gap_s": max(np.diff(times)),
        "cancelled_s": time.monotonic() - cancelled,
        "seconds": seconds,
    }
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main()
