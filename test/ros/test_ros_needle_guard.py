# SPDX-License-Identifier: Apache-2.0
"""The node `needle_guard` over real DDS: a needle that TF moves beside a ball of vessel, 20 mm in radius."""

from __future__ import annotations

import math
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import trimesh
from geometry_msgs.msg import Point, TransformStamped
from shape_msgs.msg import Mesh as ShapeMesh
from shape_msgs.msg import MeshTriangle
from tf2_msgs.msg import TFMessage

from liver_seg_interfaces.msg import GuardReading, StructureMesh, StructureMeshArray, Trajectory
from liver_seg_ros.nodes import qos

RADIUS_M = 0.02
NEEDLE_M = 0.001
#: Where `ct_lps` is in `map`: turned half around z, so that x and y are mirrored, and shifted.
SHIFT_M = (0.5, 0.2, 0.1)


class Needle:
    """Publishes what the guard takes in, and keeps what it says."""

    def __init__(self, ros: Any) -> None:
        self.ros = ros
        node = ros.node
        self.readings: list[GuardReading] = ros.live(GuardReading, "/needle_guard/reading")
        self._meshes = node.create_publisher(StructureMeshArray, "meshes", qos.latched(1))
        self._plan = node.create_publisher(Trajectory, "trajectory", qos.latched(1))
        self._tf = node.create_publisher(TFMessage, "/tf", 100)
        self._static = node.create_publisher(TFMessage, "/tf_static", qos.latched(10))
        fixed = TransformStamped(child_frame_id="ct_lps")
        fixed.header.frame_id = "map"
        fixed.transform.rotation.z, fixed.transform.rotation.w = 1.0, 0.0
        fixed.transform.translation.x, fixed.transform.translation.y, fixed.transform.translation.z = SHIFT_M
        self._static.publish(TFMessage(transforms=[fixed]))

    def show_ball(self, label: int = 3, watertight: bool = True, scale: float = RADIUS_M) -> None:
        ball = trimesh.creation.icosphere(subdivisions=4, radius=scale)
        points = [Point(x=x, y=y, z=z) for x, y, z in ball.vertices.tolist()]
        triangles = [MeshTriangle(vertex_indices=face) for face in ball.faces.astype(np.uint32)]
        mesh = StructureMesh(mesh=ShapeMesh(vertices=points, triangles=triangles), watertight=watertight)
        mesh.measurement.structure, mesh.measurement.label = "vessel", label
        array = StructureMeshArray(volume_uid="ct-1", meshes=[mesh])
        array.header.frame_id = "ct_lps"
        self._meshes.publish(array)

    def show_plan(self, entry: tuple[float, float, float], target: tuple[float, float, float]) -> None:
        plan = Trajectory(radius_m=NEEDLE_M)
        plan.header.frame_id = "ct_lps"
        plan.entry.x, plan.entry.y, plan.entry.z = entry
        plan.target.x, plan.target.y, plan.target.z = target
        self._plan.publish(plan)

    def move(self, x_m: float, y_m: float = 0.0, z_m: float = 0.0, age_s: float = 0.0) -> None:
        """Tell where the tip is in `ct_lps`, as a tracker that knows `map` alone, pointing along +x there."""
        told = TransformStamped(child_frame_id="needle_tip")
        told.header.frame_id = "map"
        stamp_ns = self.ros.node.get_clock().now().nanoseconds - round(age_s * 1e9)
        told.header.stamp.sec, told.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        shift = told.transform.translation
        shift.x, shift.y, shift.z = SHIFT_M[0] - x_m, SHIFT_M[1] - y_m, SHIFT_M[2] + z_m
        # z of the tip's frame onto -x of map: a turn of -90 degrees about y.
        told.transform.rotation.y, told.transform.rotation.w = -math.sqrt(0.5), math.sqrt(0.5)
        self._tf.publish(TFMessage(transforms=[told]))

    def until(self, said: Callable[[GuardReading], bool], *place_m: float) -> GuardReading:
        """The first new reading of this kind, while TF goes on telling this place, if one is given."""
        self.readings.clear()

        def found() -> bool:
            if place_m:
                self.move(*place_m)
            return any(map(said, self.readings))

        self.ros.spin_until(found)
        return next(filter(said, self.readings))


@pytest.fixture
def needle(ros: Any) -> Needle:
    return Needle(ros)


@pytest.fixture(scope="module")
def guarded(ros_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Needle]:
    """A needle whose guard runs already, for tests after which it is as good as new."""
    with ros_in(tmp_path_factory.mktemp("guard")) as ros:
        needle = Needle(ros)
        start(needle)
        yield needle


def start(needle: Needle, **parameters: object) -> subprocess.Popen:
    """Without a worker process, which takes longer to start than all else takes."""
    return needle.ros.start(
        "needle_guard",
        **{
            "needle_radius_m": NEEDLE_M,
            "max_speed_m_s": 100.0,
            "tf_timeout_s": 1.0,
            "needle_length_m": 0.1,
            "worker_process": False,
            **parameters,
        },
    )


def of(reason: int) -> Callable[[GuardReading], bool]:
    return lambda reading: reading.reason == reason


def test_from_nothing_known_to_a_needle_that_comes_near(needle: Needle) -> None:
    start(needle)
    first = needle.until(of(GuardReading.REASON_NO_ANATOMY))
    assert (first.level, first.text) == (GuardReading.LEVEL_STOP, "no surfaces came yet on the topic meshes")
    needle.show_ball()
    unknown = needle.until(of(GuardReading.REASON_NO_TRANSFORM))
    assert (unknown.level, unknown.tip_known) == (GuardReading.LEVEL_STOP, False)
    assert "needle_tip" in unknown.text

    # Tip before the ball, shaft behind the tip: the clearance is the gap from tip to ball less the needle's radius.
    far = needle.until(of(GuardReading.REASON_NONE), -0.05, 0.0, 0.0)
    assert (far.level, far.text, far.volume_uid, far.header.frame_id) == (GuardReading.LEVEL_OK, "", "ct-1", "ct_lps")
    assert far.clearances[0].structure == "vessel"
    assert far.clearances[0].clearance_m == pytest.approx(0.05 - RADIUS_M - NEEDLE_M, abs=2e-4)
    assert (far.tip.x, far.tip.y, far.tip.z) == pytest.approx((-0.05, 0, 0), abs=1e-9)
    assert not far.has_plan

    near = needle.until(lambda reading: reading.level == GuardReading.LEVEL_WARN, -0.023, 0.0, 0.0)
    assert near.clearances[0].clearance_m == pytest.approx(0.002, abs=2e-4)
    inside = needle.until(lambda reading: reading.level == GuardReading.LEVEL_STOP, -0.01, 0.0, 0.0)
    assert (inside.reason, inside.text) == (GuardReading.REASON_CLEARANCE, "needle in the vessel")


def test_readings_come_while_another_process_prepares_the_surfaces(needle: Needle) -> None:
    process = start(needle, worker_process=True, worker_niceness=0)
    needle.until(of(GuardReading.REASON_NO_ANATOMY))
    [worker] = needle.ros.workers(process)
    os.kill(worker, signal.SIGSTOP)  # however long it takes
    needle.show_ball()
    for _ in range(3):
        waiting = needle.until(lambda reading: reading.text == "new surfaces are being prepared", -0.05)
        assert waiting.level == GuardReading.LEVEL_STOP
    os.kill(worker, signal.SIGKILL)
    assert needle.until(of(GuardReading.REASON_NONE), -0.05).level == GuardReading.LEVEL_OK
    assert needle.ros.workers(process) != [worker]


def test_a_tracker_that_falls_silent_lies_about_the_time_or_jumps(needle: Needle) -> None:
    start(needle, tf_timeout_s=0.5, max_speed_m_s=1.0)
    needle.show_ball()
    needle.until(of(GuardReading.REASON_NONE), -0.05)
    silent = needle.until(of(GuardReading.REASON_STALE_TRANSFORM))
    assert (silent.level, silent.tip_known) == (GuardReading.LEVEL_STOP, False)
    assert "old" in silent.text
    needle.until(of(GuardReading.REASON_NONE), -0.05)
    needle.until(of(GuardReading.REASON_JUMP), -50.0)
    assert needle.until(of(GuardReading.REASON_NONE), -50.0).level == GuardReading.LEVEL_OK
    ahead = needle.until(of(GuardReading.REASON_STALE_TRANSFORM), -50.0, 0.0, 0.0, -3600.0)
    assert "in the future" in ahead.text


def test_frames_in_a_circle_and_one_stamp_from_the_future_are_a_stop_and_over_when_they_are(needle: Needle) -> None:
    start(needle)
    needle.show_ball()
    needle.until(of(GuardReading.REASON_NONE), -0.05)
    circle = [TransformStamped(child_frame_id=child) for child in ("needle_tip", "hand")]
    for told, parent in zip(circle, ("hand", "needle_tip"), strict=True):
        told.header.frame_id, told.transform.rotation.w = parent, 1.0
    needle._tf.publish(TFMessage(transforms=circle))
    told = needle.until(of(GuardReading.REASON_NO_TRANSFORM))
    assert told.level == GuardReading.LEVEL_STOP and "circle" in told.text
    needle.until(of(GuardReading.REASON_NONE), -0.05)
    needle.move(-0.05, age_s=-3600.0)
    needle.until(of(GuardReading.REASON_STALE_TRANSFORM))
    assert needle.until(of(GuardReading.REASON_NONE), -0.05).level == GuardReading.LEVEL_OK


def test_a_clock_that_stands_still_does_not_make_an_old_place_fresh(needle: Needle) -> None:
    start(needle, tf_timeout_s=0.5, use_sim_time=True)
    needle.show_ball()
    needle.until(of(GuardReading.REASON_NO_TRANSFORM))
    told = TransformStamped(child_frame_id="needle_tip")  # at time 0, where the clock that nobody publishes is
    told.header.frame_id = "ct_lps"
    told.transform.translation.x, told.transform.rotation.w = -0.05, 1.0
    needle._tf.publish(TFMessage(transforms=[told]))
    assert needle.until(of(GuardReading.REASON_STALE_TRANSFORM)).level == GuardReading.LEVEL_STOP


def test_a_plan_is_followed(needle: Needle) -> None:
    start(needle)
    needle.show_ball()
    needle.show_plan((-0.14, 0.0, 0.0), (-0.04, 0.0, 0.0))
    on = needle.until(lambda reading: reading.has_plan, -0.06, 0.0, 0.0)
    assert on.level == GuardReading.LEVEL_OK
    assert (on.to_target_m, on.remaining_m, on.off_line_m, on.angle_rad) == pytest.approx((0.02, 0.02, 0, 0), abs=1e-6)
    off = needle.until(of(GuardReading.REASON_DEVIATION), -0.06, 0.003, 0.004)
    assert (off.level, off.off_line_m) == (GuardReading.LEVEL_WARN, pytest.approx(0.005))
    # A reading of no fresh transform, which a busy machine may give too, is a STOP as well.
    beyond = needle.until(
        lambda reading: reading.level == GuardReading.LEVEL_STOP and reading.reason == GuardReading.REASON_DEVIATION,
        -0.034, 0.0, 0.0,
    )  # fmt: skip
    assert beyond.remaining_m == pytest.approx(-0.006)
    assert beyond.text == "tip 6.0 mm beyond the target"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"label": 99}, "unknown label value 99"), ({"watertight": False}, "not closed"),
        ({"scale": math.nan}, "is damaged"),
    ],
)  # fmt: skip
def test_surfaces_that_cannot_be_are_a_stop_until_others_come(guarded: Needle, wrong: dict, text: str) -> None:
    guarded.show_ball()
    guarded.until(of(GuardReading.REASON_NONE), -0.05)
    guarded.show_ball(**wrong)
    refused = guarded.until(lambda reading: text in reading.text, -0.05)
    assert (refused.level, refused.reason) == (GuardReading.LEVEL_STOP, GuardReading.REASON_NO_ANATOMY)
    guarded.show_ball()
    assert guarded.until(of(GuardReading.REASON_NONE), -0.05).level == GuardReading.LEVEL_OK


def test_a_liver_alone_is_nothing_to_keep_clear_of(needle: Needle) -> None:
    start(needle)
    needle.show_ball(label=1)
    inside = needle.until(of(GuardReading.REASON_NONE), 0.0, 0.0, 0.0)
    assert (inside.level, list(inside.clearances), inside.volume_uid) == (GuardReading.LEVEL_OK, [], "ct-1")


def test_a_needle_that_cannot_be_fails_to_configure(needle: Needle) -> None:
    start(needle, needle_axis=[0.0, 0.0, 0.0])
    needle.ros.wait_for_line("/needle_guard 2", "is no direction")


def test_a_place_that_no_needle_has_is_a_stop_and_the_guard_goes_on(needle: Needle) -> None:
    """Numbers that overflow on their way through the frames ended the process; a needle 1e60 m away was clear."""
    start(needle)
    needle.show_ball()
    needle.until(of(GuardReading.REASON_NONE), -0.05)
    for away_m in (1e303, 1e60, -200.0):
        told = needle.until(lambda reading: reading.level == GuardReading.LEVEL_STOP and reading.text != "", away_m)
        assert told.reason in (GuardReading.REASON_JUMP, GuardReading.REASON_NO_TRANSFORM)
        assert needle.until(of(GuardReading.REASON_NO_TRANSFORM), away_m).level == GuardReading.LEVEL_STOP
    assert needle.until(of(GuardReading.REASON_NONE), -0.05).level == GuardReading.LEVEL_OK


def test_a_plan_that_is_refused_is_a_stop_until_another_comes(needle: Needle) -> None:
    start(needle)
    needle.show_ball()
    needle.show_plan((-0.14, 0.0, 0.0), (-0.04, 0.0, 0.0))
    needle.until(lambda reading: reading.has_plan and reading.level == GuardReading.LEVEL_OK, -0.06)
    needle.show_plan((math.nan, 0.0, 0.0), (-0.04, 0.0, 0.0))
    refused = needle.until(of(GuardReading.REASON_DEVIATION), -0.06)
    assert refused.level == GuardReading.LEVEL_STOP and "entry_mm" in refused.text
    needle.show_plan((-0.14, 0.0, 0.0), (-0.04, 0.0, 0.0))
    assert needle.until(of(GuardReading.REASON_NONE), -0.06).has_plan
