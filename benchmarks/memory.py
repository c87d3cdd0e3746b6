# SPDX-License-Identifier: Apache-2.0
"""Whether the composed process keeps its memory, volume after volume.

    tools/setup/run.sh python benchmarks/memory.py                   50 times the phantom of seed 9300, synthetic
    tools/setup/run.sh python benchmarks/memory.py --volumes 10 --size 128,128,100

Prints Markdown: the memory of `liver_seg` and of its worker processes (proportional set size: what several share is
counted once) after the fifth volume, when all has been loaded and every buffer has been as large as it gets, and then
at every tenth; file descriptors, and files in memory that are still mapped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _machine import machine

from liver_seg_ros.memory import children, proportional_bytes

SEED = 9300
FIRST, EVERY = 5, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=50, help="that are worked on (%(default)s)")
    parser.add_argument("--size", help="of the phantom, as `liver-seg phantom --size` takes it")
    options = parser.parse_args()
    os.environ |= {"ROS_DOMAIN_ID": "89", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case"
        command = [sys.executable, "-m", "liver_seg_ros", "phantom", "--seed", str(SEED), "-o", str(case)]
        command += ["--size", options.size] if options.size else []
        subprocess.run(command, check=True, capture_output=True)
        sys.stdout.write(f"Phantom {SEED}, synthetic, {options.size or 'of the usual size'}. {machine()}.\n\n")
        sys.stdout.write("| volumes | MB | of them in workers | file descriptors | files in memory | seconds |\n")
        sys.stdout.write("| ---: | ---: | ---: | ---: | ---: | ---: |\n")
        command = [sys.executable, "-m", "liver_seg_ros.nodes.liver_seg", str(case / "ct.nii.gz")]
        nodes = subprocess.Popen([*command, "--ros-args", "-p", "autostart:=true"], stderr=subprocess.DEVNULL)
        try:
            totals = _run(nodes, options.volumes)
        finally:
            nodes.terminate()
            nodes.wait()
    first, *rest = totals
    sys.stdout.write(f"\nThe most after that is {100 * (max(rest, default=first) / first - 1):+.1f} % of the first.\n")


def _run(nodes: subprocess.Popen, volumes: int) -> list[float]:
    """The memory in MB at each row of the table, which it prints."""
    import rclpy
    from std_srvs.srv import Trigger

    from liver_seg_interfaces.msg import SegmentationReport
    from liver_seg_ros.nodes.qos import live

    rclpy.init()
    node = rclpy.create_node("counter")
    reports: list[SegmentationReport] = []
    node.create_subscription(SegmentationReport, "/reconstruction/report", reports.append, live())
    again = node.create_client(Trigger, "/ct_source/publish")
    began, totals = time.monotonic(), []
    for done in range(1, volumes + 1):
        while len(reports) < done:
            if nodes.poll() is not None:
                raise SystemExit("the nodes have ended")
            rclpy.spin_once(node, timeout_sec=0.1)
        if done in (FIRST, volumes) or (done > FIRST and done % EVERY == 0):
            everyone = [nodes.pid, *children(nodes.pid)]
            total, own = sum(_pss_mb(pid) for pid in everyone), _pss_mb(nodes.pid)
            files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in everyone)
            mapped = sum(Path(f"/proc/{pid}/maps").read_text().count("/memfd:") for pid in everyone)
            seconds = time.monotonic() - began
            sys.stdout.write(f"| {done} | {total:.0f} | {total - own:.0f} | {files} | {mapped} | {seconds:.0f} |\n")
            sys.stdout.flush()
            totals.append(total)
        if done < volumes:
            again.call_async(Trigger.Request())
    rclpy.shutdown()
    return totals


def _pss_mb(pid: int) -> float:
    return proportional_bytes(pid) / 1e6


if __name__ == "__main__":
    main()
