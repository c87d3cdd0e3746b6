#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks for a trajectory to the largest lesion, shows it, has the guard follow it, and ends when the guard says STOP.

ros2 launch liver_seg_ros liver_seg.launch.py path:=ct.nii.gz planner:=true guard:=true
python examples/planner.py [X Y Z]    where the needle begins, metres in the frame ct_lps; anywhere on the skin without
"""

import sys
import time

import rclpy
from geometry_msgs.msg import Point
from rclpy.qos import DurabilityPolicy, QoSProfile

from liver_seg_interfaces.msg import GuardReading, RequestStatus, Trajectory
from liver_seg_interfaces.srv import PlanTrajectories

rclpy.init()
node, latched = rclpy.create_node("my_planner"), QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
client = node.create_client(PlanTrajectories, "planner/plan_trajectories")
follow = node.create_publisher(Trajectory, "trajectory", latched)
readings: list[GuardReading] = []
node.create_subscription(GuardReading, "needle_guard/reading", readings.append, 10)
entries = [Point(**dict(zip("xyz", map(float, sys.argv[1:]), strict=True)))] if sys.argv[1:] else []
answer = PlanTrajectories.Response(status=RequestStatus(code=RequestStatus.NOT_READY, text="nobody answers"))
while answer.status.code == RequestStatus.NOT_READY and client.wait_for_service(timeout_sec=60):
    time.sleep(0.2)  # labels may still be on their way
    rclpy.spin_until_future_complete(node, asked := client.call_async(PlanTrajectories.Request(entries=entries)))
    answer = asked.result()
if answer.status.code != RequestStatus.OK:
    sys.exit(f"no trajectory: {answer.status.text}")
sys.stdout.write(f"{1000 * answer.trajectories[0].length_m:.0f} mm long. {' '.join(answer.notes)}\n")
follow.publish(answer.trajectories[0].trajectory)  # RViz shows it, with the needle and its guard
last, guarded = GuardReading(), False
while not guarded or last.level < GuardReading.LEVEL_STOP:
    rclpy.spin_once(node, timeout_sec=0.1)  # silence is a STOP too
    last = readings.pop() if readings else GuardReading(level=GuardReading.LEVEL_STOP, text="the guard is silent")
    guarded = guarded or (last.has_plan and last.level < GuardReading.LEVEL_STOP)
    sys.stdout.write(f"\r{['OK', 'WARN', 'STOP'][last.level]} {1000 * last.remaining_m:4.0f} mm {last.text:60}")
