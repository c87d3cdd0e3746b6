#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Moves a needle, as a tracker would tell it, along a trajectory that leads into a vessel, and back, again and again.

    ros2 launch liver_seg_ros demo.launch.py               # starts this too
    python examples/moving_needle.py --strokes 1           # beside planner, guard and reconstruction
    python examples/moving_needle.py --entry 0.1 -0.2 0.9  # from here, metres in the frame ct_lps, not from the skin

It asks `planner` for a way to the largest lesion and bends it to the nearest large vessel: a plan that nobody should
follow. What `needle_guard` says on the way is printed: OK, WARN, STOP. A robot would stop there; this needle does not.
But it moves only as the guard reads it: no reading, no step.

This file imports no part of liver_seg_ros. Exit code: 0 after all strokes, 1 where there is no way or no vessel.
"""

import argparse
import math
import signal
import sys
import time

import rclpy
from geometry_msgs.msg import Point, TransformStamped
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from liver_seg_interfaces.msg import GuardReading, RequestStatus, Trajectory, VesselTree
from liver_seg_interfaces.srv import EvaluateTrajectory, PlanTrajectories

LEVELS = {GuardReading.LEVEL_OK: "OK", GuardReading.LEVEL_WARN: "WARN", GuardReading.LEVEL_STOP: "STOP"}
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RATE_HZ = 50.0
#: Where the tip begins before the skin, and turns behind the middle of the vessel.
BEFORE_M, BEHIND_M = 0.02, 0.015
#: The wait for the guard is told after this time.
PATIENCE_S = 5.0
#: A vessel of this radius or more is worth a demonstration.
LARGE_M = 0.002


class MovingNeedle(Node):
    """Publishes the frame of a needle's tip, and says what the guard says."""

    def __init__(self, entry: list[float] | None) -> None:
        super().__init__("moving_needle")
        self.was_read = False  # the guard has said something of a known tip since the last step
        self._entries = [Point(x=entry[0], y=entry[1], z=entry[2])] if entry else []
        self.tree: VesselTree | None = None
        self.said = ""
        self._tf = self.create_publisher(TFMessage, "/tf", 10)
        self._plan = self.create_publisher(Trajectory, "trajectory", LATCHED)
        self.create_subscription(VesselTree, "vessel_tree", self._on_tree, LATCHED)
        self.create_subscription(GuardReading, "needle_guard/reading", self._on_reading, 10)
        self._plan_client = self.create_client(PlanTrajectories, "planner/plan_trajectories")
        self._evaluation_client = self.create_client(EvaluateTrajectory, "planner/evaluate_trajectory")

    def way_into_a_vessel(self) -> Trajectory | None:
        """From where a good plan begins to the vessel nearest to its target; None, and a line why, if there is none."""
        while self.tree is None:
            rclpy.spin_once(self, timeout_sec=0.1)
        question = PlanTrajectories.Request(lesion=1, count=1, entries=self._entries)
        question.header.frame_id = self.tree.header.frame_id
        answer = self._ask(self._plan_client, question)
        if answer.status.code != RequestStatus.OK:
            say(f"no trajectory: {answer.status.text}")
            return None
        plan = answer.trajectories[0].trajectory
        large = [p for p, radius_m in zip(self.tree.points, self.tree.radius_m, strict=True) if radius_m >= LARGE_M]
        if not large:
            say("there is no large vessel")
            return None
        plan.target = min(large, key=lambda point: distance(point, plan.target))
        evaluation = self._ask(self._evaluation_client, EvaluateTrajectory.Request(trajectory=plan)).evaluation
        for crossing in evaluation.vessel_crossings[:1]:
            say(f"this way meets a {crossing.structure} of {1000 * crossing.radius_m:.1f} mm radius: do not follow it")
        self._plan.publish(plan)
        return plan

    def move(self, way: Trajectory, along_m: float) -> None:
        """Tell that the tip is so far behind the entry, before it where negative; it points along its own z."""
        length_m = distance(way.entry, way.target)
        x, y, z = ((getattr(way.target, a) - getattr(way.entry, a)) / length_m for a in "xyz")
        told = TransformStamped(child_frame_id="needle_tip")
        told.header.frame_id, told.header.stamp = way.header.frame_id, self.get_clock().now().to_msg()
        shift, turn = told.transform.translation, told.transform.rotation
        shift.x, shift.y, shift.z = way.entry.x + along_m * x, way.entry.y + along_m * y, way.entry.z + along_m * z
        # The shortest turn of z onto the direction; for one that points down, half a turn about x.
        norm = math.sqrt(max(2 * (1 + z), 0.0))
        turn.x, turn.y, turn.z, turn.w = (-y / norm, x / norm, 0.0, norm / 2) if norm > 1e-6 else (1.0, 0.0, 0.0, 0.0)
        self._tf.publish(TFMessage(transforms=[told]))

    def _ask(self, client, question):
        """The planner's answer. NOT_READY is no failure: labels may still be on their way."""
        while True:
            client.wait_for_service()
            future = client.call_async(question)
            rclpy.spin_until_future_complete(self, future)
            if future.result().status.code != RequestStatus.NOT_READY:
                return future.result()
            time.sleep(0.5)

    def _on_tree(self, tree: VesselTree) -> None:
        self.tree = tree

    def _on_reading(self, reading: GuardReading) -> None:
        self.was_read = self.was_read or reading.tip_known
        line = f"{LEVELS[reading.level]} {reading.text}".strip()
        if reading.tip_known and line.split()[0] != self.said:
            self.said = line.split()[0]
            say(line)


def distance(a, b) -> float:
    return math.dist((a.x, a.y, a.z), (b.x, b.y, b.z))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=0.005, metavar="M/S", help="of the tip (%(default)s)")
    parser.add_argument("--strokes", type=int, default=0, help="there and back; 0: for ever (%(default)s)")
    parser.add_argument("--entry", type=float, nargs=3, metavar=("X", "Y", "Z"))
    options = parser.parse_args(rclpy.utilities.remove_ros_args(sys.argv)[1:])
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))  # launch may send a second one while this ends
    rclpy.init()
    try:
        needle = MovingNeedle(options.entry)
        way = needle.way_into_a_vessel()
        if way is None:
            return 1
        stroke_m = BEFORE_M + distance(way.entry, way.target) + BEHIND_M
        passed_m, patient_until = 0.0, time.monotonic() + PATIENCE_S
        while True:
            strokes, there_m = divmod(passed_m, 2 * stroke_m)
            if options.strokes and strokes >= options.strokes:
                return 0
            needle.move(way, min(there_m, 2 * stroke_m - there_m) - BEFORE_M)
            until = time.monotonic() + 1 / RATE_HZ
            while (left_s := until - time.monotonic()) > 0:
                rclpy.spin_once(needle, timeout_sec=left_s)
            if needle.was_read:
                passed_m += options.speed / RATE_HZ
                needle.was_read = False
            elif passed_m == 0.0 and time.monotonic() > patient_until:
                needle.get_logger().info("waits for needle_guard to read it")
                patient_until = math.inf
    except ExternalShutdownException:
        return 0


if __name__ == "__main__":
    sys.exit(main())
