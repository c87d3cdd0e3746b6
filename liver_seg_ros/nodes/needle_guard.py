# SPDX-License-Identifier: Apache-2.0
"""The node `needle_guard`: publishes the clearances of a moving needle and when to stop it, many times a second.

In a process of its own, so that no other work makes it late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from rclpy.time import Time
from rclpy.timer import Timer
from tf2_msgs.msg import TFMessage

from liver_seg_interfaces.msg import GuardReading as ReadingMessage
from liver_seg_interfaces.msg import StructureMeshArray
from liver_seg_interfaces.msg import Trajectory as TrajectoryMessage
from liver_seg_ros.errors import CancelledError, InputError
from liver_seg_ros.geometry import MM_PER_M, to_vector
from liver_seg_ros.nodes.diagnostics import in_one_line
from liver_seg_ros.nodes.guard_display import GuardDisplay, Shown
from liver_seg_ros.nodes.messages.assembler import Assembled
from liver_seg_ros.nodes.messages.guard_readings import message_to_trajectory, reading_to_message
from liver_seg_ros.nodes.needle_parameters import needle_of
from liver_seg_ros.nodes.parameter_tables import NEEDLE_GUARD
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.qos import latched, live
from liver_seg_ros.nodes.reading_pace import ReadingPace
from liver_seg_ros.nodes.realtime import go_first
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.tip_watch import TipWatch
from liver_seg_ros.nodes.transform_buffer import TransformError
from liver_seg_ros.nodes.transforms import Transforms, open_transforms
from liver_seg_ros.nodes.volume_input import VolumeInput
from liver_seg_ros.nodes.work.guarding import Guarded, Guarding
from liver_seg_ros.nodes.workplaces import workplace
from liver_seg_ros.offload.channel import WorkerLostError
from liver_seg_ros.offload.worker_process import Workplace
from liver_seg_ros.open3d_library import import_open3d
from liver_seg_ros.planning.guard import Guard, GuardLimits, GuardReading, Level, Reason
from liver_seg_ros.planning.limits import LEAST_CLEARANCE_MM
from liver_seg_ros.planning.trajectory_values import Trajectory
from liver_seg_ros.progress import Cancelled, raise_if_cancelled
from liver_seg_ros.volume import LabelVolume

#: A tip that TF puts further away from the CT's origin is not there.
MOST_AWAY_MM = 100_000.0


class NeedleGuard(StageNode):
    """Publishes a reading on `needle_guard/reading` as soon as the tip moved, and at `rate_hz` where it did not.

    Where the needle is tells TF (`tip_frame`), what it must not touch the topic `meshes`, with the parameter
    `surroundings` also the map on the topic of this name, and what it should follow the topic `trajectory`. Whatever
    is missing, stale or wrong makes the reading a STOP.

    Args:
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__("needle_guard", NEEDLE_GUARD, **kwargs)
        self._transforms: Transforms | None = None
        self._anatomy: Guarded | None = None
        # Held where `_anatomy` changes: surfaces of before must not come back once newer ones came.
        self._anatomy_lock = threading.Lock()
        self._meshes: bytes | None = None  # the last that came
        self._map: LabelVolume | None = None
        self._map_input = VolumeInput(self, "surroundings", np.uint8, self._on_map)
        self._plan: tuple[Trajectory, str] | None = None  # and the frame that it came in
        self._plan_refused = ""  # why the one that came last cannot be followed
        self._why = ""  # there is no anatomy
        self._said = (Level.OK, Reason.NONE)
        self._latest: tuple[GuardReading, Guarded | None] | None = None
        self._needle_mm: NDArray[np.float64] | None = None  # `(2, 3)` tip and end, where they were known last
        self._workplace: Workplace | None = None
        self._display = GuardDisplay(self, self._shown)
        self._subscriptions_: list[Subscription] = []
        self._publisher: Publisher | None = None
        self._timer: Timer | None = None

    def configure(self) -> None:
        self._needle, self._limits = needle_of(self), self._limits_of_parameters()
        self._publisher = self.create_lifecycle_publisher(ReadingMessage, "needle_guard/reading", live())
        self._workplace = workplace(self, Guarding)
        self._workplace.begin()
        import_open3d()  # seconds, in which no reading would come later
        self._display.configure()

    def activate(self) -> None:
        self._why = "no surfaces came yet on the topic meshes"
        self._watch = TipWatch(
            self.get_parameter("tf_timeout_s").value, MM_PER_M * self.get_parameter("max_speed_m_s").value
        )
        rate_hz = float(self.get_parameter("rate_hz").value)
        self._pace = ReadingPace(rate_hz)
        self._transforms = open_transforms(self, self._on_transforms)
        self._subscriptions_ = [
            self.create_subscription(StructureMeshArray, "meshes", self._on_meshes, latched(1), raw=True),
            self.create_subscription(TrajectoryMessage, "trajectory", self._on_trajectory, latched(1)),
        ]
        if self.get_parameter("surroundings").value:
            self._map_input.open()
        # Of a clock that always runs: where a simulation stands still there must be a STOP too.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(1 / rate_hz, self._on_tick, clock=steady)
        self._display.activate()
        self.diagnostics.say("guarding")

    def deactivate(self) -> None:
        self._display.deactivate()
        if self._timer is not None:
            self.destroy_timer(self._timer)
        if self._transforms is not None:
            self._transforms.close()
        self._map_input.close()
        for subscription in self._subscriptions_:
            self.destroy_subscription(subscription)
        self._timer, self._transforms, self._subscriptions_ = None, None, []
        with self._anatomy_lock:
            self._anatomy = None
        self._meshes, self._map = None, None
        self._plan, self._plan_refused = None, ""
        self._latest, self._needle_mm = None, None

    def cleanup(self) -> None:
        self._display.cleanup()
        if self._publisher is not None:
            self.destroy_lifecycle_publisher(self._publisher)
        if self._workplace is not None:
            self._workplace.close()
        self._publisher, self._workplace = None, None

    def _limits_of_parameters(self) -> GuardLimits:
        lengths = [row.name for row in NEEDLE_GUARD if row.unit == "m"]
        mm = {name.removesuffix("_m"): MM_PER_M * self.get_parameter(name).value for name in lengths}
        stop_mm = {structure: max(least, mm["least_clearance"]) for structure, least in LEAST_CLEARANCE_MM.items()}
        return GuardLimits(stop_mm, mm["warn_margin"], mm["warn_deviation"], mm["stop_deviation"], mm["overshoot"])

    def _on_meshes(self, message: bytes) -> None:
        self._meshes = message
        self._prepare_next(message)

    def _on_map(self, assembled: Assembled) -> None:
        self._map = LabelVolume(assembled.array, assembled.geometry, assembled.uid)
        anatomy = self._anatomy
        if self._meshes is not None and (anatomy is None or anatomy.volume_uid == self._map.uid):
            self._prepare_next(self._meshes)

    def _prepare_next(self, message: bytes) -> None:
        # At once: the surfaces of before are not those of this patient any more.
        with self._anatomy_lock:
            self._anatomy = None
            self._why = "new surfaces are being prepared"
            self.worker.submit(lambda cancelled: self._prepare(message, cancelled))

    def _prepare(self, message: bytes, cancelled: Cancelled) -> None:
        try:
            guarded = self._prepared(message, cancelled)
        except CancelledError:
            raise
        except Exception as error:
            self._have_anatomy(None, in_one_line(error), cancelled)
            raise
        if guarded.why_not:
            self._have_anatomy(None, guarded.why_not, cancelled)
        else:
            self._have_anatomy(guarded, "", cancelled)
            names = ", ".join(structure.name for structure in guarded.fields) or "nothing to keep clear of"
            self.diagnostics.say(f"guarding {names} of volume {guarded.volume_uid}", last_volume=guarded.volume_uid)

    def _prepared(self, message: bytes, cancelled: Cancelled) -> Guarded:
        place = self._workplace
        if place is None:
            raise CancelledError("the node was cleaned up")
        wanted = bool(self.get_parameter("surroundings").value)
        work = Guarding.prepare, message, self.ct_frame, tuple(self._limits.stop_mm), wanted, self._map
        try:
            [guarded] = place.run(*work, cancelled=cancelled)
        except WorkerLostError:  # once more, in a new process: without surfaces all is STOP
            [guarded] = place.run(*work, cancelled=cancelled)
        return guarded

    def _have_anatomy(self, anatomy: Guarded | None, why: str, cancelled: Cancelled) -> None:
        """Raises `CancelledError` where newer surfaces came, or the node was deactivated, meanwhile."""
        with self._anatomy_lock:
            raise_if_cancelled(cancelled, "preparing the guard")
            self._anatomy, self._why = anatomy, why

    def _on_trajectory(self, message: TrajectoryMessage) -> None:
        try:
            self._plan, self._plan_refused = None, "a trajectory that came cannot be followed"
            self._plan = message_to_trajectory(message), message.header.frame_id or self.ct_frame
            self._plan_refused = ""
        except InputError as error:
            self._plan_refused = str(error)
            self.diagnostics.fail(error)

    def _on_transforms(self, message: TFMessage) -> None:
        tip_frame = self.get_parameter("tip_frame").value
        tip_moved = any(stamped.child_frame_id.removeprefix("/") == tip_frame for stamped in message.transforms)
        if tip_moved and self._pace.moved(time.monotonic()):
            self._publish_reading()

    def _on_tick(self) -> None:
        if self._pace.ticked(time.monotonic()):
            self._publish_reading()

    def _publish_reading(self) -> None:
        publisher, anatomy = self._publisher, self._anatomy
        if publisher is None or not publisher.is_activated:
            return
        try:
            reading, stamp_ns = self._read(anatomy)
        except Exception as error:  # noqa: BLE001  whatever cannot be computed is a STOP, and never silence
            reading, stamp_ns = GuardReading(Level.STOP, Reason.NO_TRANSFORM, f"no reading: {in_one_line(error)}"), None
        stamp = self.get_clock().now() if stamp_ns is None else Time(nanoseconds=stamp_ns)
        frame_id, uid = (self.ct_frame, "") if anatomy is None else (anatomy.frame_id, anatomy.volume_uid)
        publisher.publish(reading_to_message(reading, frame_id, uid, stamp.to_msg()))
        self._latest = reading, anatomy
        self._say_change(reading)

    def _shown(self) -> Shown | None:
        """For RViz."""
        if self._latest is None:
            return None
        reading, anatomy = self._latest
        if anatomy is None:
            return Shown(reading, self.ct_frame, self._needle_mm, self._needle.radius_mm, None, None)
        nearest = reading.nearest
        surface = None
        if nearest is not None:
            surface = anatomy.fields[nearest.structure].surface.nearest([nearest.at_mm])[1][0]
        try:
            plan = self._plan_in(anatomy.frame_id)
        except TransformError:
            plan = None  # the reading says so
        return Shown(reading, anatomy.frame_id, self._needle_mm, self._needle.radius_mm, surface, plan)

    def _read(self, anatomy: Guarded | None) -> tuple[GuardReading, int | None]:
        if anatomy is None:
            return GuardReading(Level.STOP, Reason.NO_ANATOMY, self._why), None
        assert self._transforms is not None
        try:
            found = self._transforms.lookup(anatomy.frame_id, self.get_parameter("tip_frame").value)
            guard = Guard(anatomy.fields, self._needle, self._limits, self._plan_in(anatomy.frame_id))
        except TransformError as error:
            return GuardReading(Level.STOP, Reason.NO_TRANSFORM, f"the needle's place is not known: {error}"), None
        tip_mm = found.transform.apply(np.zeros(3))
        now_ns = self.get_clock().now().nanoseconds
        reason, why = self._watch.judge(found.stamp_ns, tip_mm, now_ns, time.monotonic())
        if reason in (Reason.STALE_TRANSFORM, Reason.JUMP):
            return GuardReading(Level.STOP, reason, why), found.stamp_ns
        if not np.linalg.norm(tip_mm) <= MOST_AWAY_MM:
            why = f"the tip is more than {MOST_AWAY_MM / MM_PER_M:g} m away: that is not where it is"
            return GuardReading(Level.STOP, Reason.NO_TRANSFORM, why), found.stamp_ns
        if self._plan_refused:
            return GuardReading(Level.STOP, Reason.DEVIATION, self._plan_refused), found.stamp_ns
        self._needle_mm = np.array(self._needle.placed(found.transform))
        return guard.read(found.transform), found.stamp_ns

    def _plan_in(self, frame_id: str) -> Trajectory | None:
        """Raises `TransformError` where the plan's frame is not known."""
        if self._plan is None:
            return None
        plan, plan_frame = self._plan
        if plan_frame == frame_id:
            return plan
        assert self._transforms is not None
        placed = self._transforms.lookup(frame_id, plan_frame).transform  # each time, as a registration may move it
        entry, target = placed.apply([plan.entry_mm, plan.target_mm])
        return Trajectory(to_vector(entry), to_vector(target), plan.radius_mm)

    def _say_change(self, reading: GuardReading) -> None:
        """Diagnostics follow the level, not each reading."""
        if (reading.level, reading.reason) == self._said:
            return
        self._said = (reading.level, reading.reason)
        if reading.level == Level.OK:
            self.diagnostics.say("the needle is clear")
        else:
            self.diagnostics.warn(f"{reading.level.name}: {reading.text}")


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    guard = NeedleGuard()
    if not go_first(guard.get_parameter("realtime_priority").value):
        guard.get_logger().info(
            "runs without real-time priority, so that a loaded machine makes readings late: allow it with a line "
            "'<user> - rtprio 10' in /etc/security/limits.conf, or set realtime_priority to 0"
        )
    return [guard]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
