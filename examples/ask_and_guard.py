#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks the node `planner` for a trajectory to the largest lesion, gives it to the node `needle_guard`, and listens.

    ros2 launch liver_seg_ros liver_seg.launch.py path:=ct.nii.gz planner:=true guard:=true
    python examples/ask_and_guard.py                       # needles begin anywhere on the skin
    python examples/ask_and_guard.py --entry 0.1 -0.2 0.9  # or here, metres in the frame ct_lps

This file imports no part of liver_seg_ros: it is what a planner of your own would do. Exit code: 0 when the guard
follows the trajectory, 1 where there is none or no needle is known.
"""

import argparse
import sys
import time

import rclpy
from geometry_msgs.msg import Point
from rclpy.qos import DurabilityPolicy, QoSProfile

from liver_seg_interfaces.msg import GuardReading, RequestStatus, Trajectory
from liver_seg_interfaces.srv import PlanTrajectories

LEVELS = {GuardReading.LEVEL_OK: "OK", GuardReading.LEVEL_WARN: "WARN", GuardReading.LEVEL_STOP: "STOP"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entry", type=float, nargs=3, metavar=("X", "Y", "Z"))
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to listen (%(default)s)")
    options = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node("my_planner")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    follow = node.create_publisher(Trajectory, "trajectory", latched)

    # Ask. NOT_READY is no failure: labels may still be on their way.
    client = node.create_client(PlanTrajectories, "planner/plan_trajectories")
    if not client.wait_for_service(timeout_sec=60):
        sys.stdout.write("nobody answers planner/plan_trajectories; launch with planner:=true\n")
        return 1
    question = PlanTrajectories.Request(lesion=1, count=3)
    question.header.frame_id = "ct_lps"
    if options.entry:
        x, y, z = options.entry
        question.entries = [Point(x=x, y=y, z=z)]
    while True:
        future = client.call_async(question)
        rclpy.spin_until_future_complete(node, future)
        answer = future.result()
        if answer.status.code != RequestStatus.NOT_READY:
            break
        time.sleep(0.5)
    if answer.status.code != RequestStatus.OK:
        sys.stdout.write(f"no trajectory: {answer.status.text}\n")
        return 1

    # Show what was found, and give the best to the guard.
    for number, found in enumerate(answer.trajectories, start=1):
        nearest = min(found.clearances, key=lambda c: c.clearance_m if c.structure != "tumor" else float("inf"))
        clear = f"{1000 * nearest.clearance_m:.1f} mm clear of the {nearest.structure}"
        sys.stdout.write(f"trajectory {number}: {1000 * found.length_m:.0f} mm long, {clear}\n")
    for note in answer.notes:
        sys.stdout.write(f"note: {note}\n")
    follow.publish(answer.trajectories[0].trajectory)

    # Listen: whoever moves the needle must stop on STOP, and where no reading came for a while.
    said: list[str] = [""]
    followed: list[bool] = []

    def on_reading(reading: GuardReading) -> None:
        line = f"{LEVELS[reading.level]} {reading.text}".strip()
        if reading.has_plan:
            followed.append(True)
            line += f", {1000 * reading.remaining_m:.0f} mm to go"
        if line != said[0]:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            said[0] = line

    node.create_subscription(GuardReading, "needle_guard/reading", on_reading, 10)
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)
    rclpy.shutdown()
    return 0 if followed else 1


if __name__ == "__main__":
    sys.exit(main())
