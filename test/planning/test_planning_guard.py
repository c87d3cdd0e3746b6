# SPDX-License-Identifier: Apache-2.0
"""A moving needle among spheres, whose distances are known on paper."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL, Structure
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.clearance import distance_fields
from liver_seg_ros.planning.guard import Guard, GuardLimits, Level, Needle, Reason, deviation_of
from liver_seg_ros.planning.trajectory_values import Trajectory
from liver_seg_ros.planning.transform import RigidTransform

RADIUS_MM = 20.0
CENTER_MM = np.array([10.0, -30.0, 50.0])
NEEDLE = Needle(radius_mm=1.0, length_mm=100.0)
LIMITS = GuardLimits(stop_mm={VESSEL: 2.0}, warn_margin_mm=4.0)


def sphere(structure: Structure) -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=5, radius=RADIUS_MM)
    vertices = (ball.vertices + CENTER_MM).astype(np.float32)
    return Mesh(structure, vertices, ball.faces.astype(np.int32), ball.vertex_normals.astype(np.float32))


FIELDS = distance_fields([sphere(LIVER), sphere(VESSEL)])


def at(tip_mm: tuple[float, float, float], rotation: Rotation | None = None) -> RigidTransform:
    """A tip frame at `tip_mm` from the sphere's center, pointing along +z where not turned."""
    turn = Rotation.identity() if rotation is None else rotation
    return RigidTransform.of(turn.as_matrix(), CENTER_MM + tip_mm)


def to_segment_mm(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of the sphere's center from a segment."""
    share = np.clip((CENTER_MM - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    return float(np.linalg.norm(a + share * (b - a) - CENTER_MM))


unit = st.floats(-1, 1)


@settings(max_examples=60)
@given(st.tuples(*[st.floats(-80, 80)] * 3), st.tuples(unit, unit, unit, st.floats(0.1, 1)))
def test_clearance_is_that_of_a_capsule_from_a_sphere(
    tip: tuple[float, float, float], quaternion: tuple[float, ...]
) -> None:
    turn = Rotation.from_quat(quaternion)
    reading = Guard(FIELDS, NEEDLE, LIMITS).read(at(tip, turn))
    end = CENTER_MM + tip - 100.0 * turn.apply([0, 0, 1])
    expected = to_segment_mm(CENTER_MM + tip, end) - RADIUS_MM - 1.0
    if expected > -RADIUS_MM / 2:  # deep inside it is measured to the nearest surface from each place of the axis
        assert reading.nearest is not None
        assert reading.nearest.structure == VESSEL
        assert reading.nearest.clearance_mm == pytest.approx(expected, abs=0.2)
    assert reading.level == (
        Level.STOP
        if reading.nearest.clearance_mm <= 2.1
        else Level.WARN
        if reading.nearest.clearance_mm <= 6.1
        else Level.OK
    )


@pytest.mark.parametrize(
    ("clearance_mm", "level", "text"),
    # A clearance may be 0.1 mm larger than the true one; where it is not certain that it is enough, it is not.
    [
        (7.0, Level.OK, ""),
        (5.0, Level.WARN, "5.0 mm from"),
        (2.05, Level.STOP, "2.0 mm from"),
        (1.5, Level.STOP, "1.5 mm from"),
        (-3.0, Level.STOP, "in"),
    ],
)
def test_level_follows_the_clearance(clearance_mm: float, level: Level, text: str) -> None:
    # The tip below the sphere, the shaft away from it.
    reading = Guard(FIELDS, NEEDLE, LIMITS).read(at((0, 0, -(RADIUS_MM + 1.0 + clearance_mm))))
    assert reading.level == level
    assert reading.reason == (Reason.NONE if level == Level.OK else Reason.CLEARANCE)
    assert reading.text == (f"needle {text} the vessel" if text else "")


def test_the_liver_is_no_obstacle_and_nothing_else_neither_where_no_limit_is() -> None:
    inside = at((0, 0, 0))
    assert Guard(FIELDS, NEEDLE, GuardLimits(stop_mm={LIVER: 5.0})).read(inside).level == Level.OK
    assert Guard(FIELDS, NEEDLE, GuardLimits(stop_mm={TUMOR: 5.0})).read(inside).clearances == ()


def test_the_axis_says_where_the_tip_points() -> None:
    below = at((0, 0, -40))
    assert Guard(FIELDS, NEEDLE, LIMITS).read(below).nearest.clearance_mm == pytest.approx(19, abs=0.2)
    backwards = Needle(radius_mm=1.0, length_mm=100.0, axis=(0, 0, -2))  # the shaft goes up, through the sphere
    assert Guard(FIELDS, backwards, LIMITS).read(below).nearest.clearance_mm < -RADIUS_MM + 0.2


PLAN = Trajectory((0.0, 0.0, 0.0), (0.0, 0.0, 100.0))


@pytest.mark.parametrize(
    ("tip", "direction", "expected"),
    [
        ((0, 0, 40), (0, 0, 1), (60, 60, 0, 0)),
        ((3, 4, 100), (0, 1, 1), (5, 0, 5, 45)),
        ((0, 0, 107), (0, 0, -1), (7, -7, 0, 180)),
    ],
)
def test_deviation_from_a_plan(
    tip: tuple[float, ...], direction: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    found = deviation_of(np.array(tip, float), np.array(direction, float), PLAN)
    assert (found.to_target_mm, found.remaining_mm, found.off_line_mm, found.angle_deg) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tip", "level"),
    [
        ((0, 0, 50), Level.OK), ((2.9, 0, 50), Level.OK), ((3.1, 0, 50), Level.WARN), ((0, 10.1, 50), Level.STOP),
        ((0, 0, 104), Level.WARN), ((0, 0, 105.1), Level.STOP),
    ],
)  # fmt: skip
def test_a_needle_off_its_plan_is_told(tip: tuple[float, ...], level: Level) -> None:
    reading = Guard({}, NEEDLE, LIMITS, PLAN).read(RigidTransform.of(np.eye(3), tip))
    assert reading.level == level
    assert reading.reason == (Reason.NONE if level == Level.OK else Reason.DEVIATION)


def test_what_is_not_a_number_is_within_no_limit() -> None:
    """A plan whose ends are so far away that their difference overflows."""
    endless = Trajectory((-1.5e308, 0.0, 0.0), (1.5e308, 0.0, 0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        reading = Guard({}, Needle(), trajectory=endless).read(at((0.0, 0.0, 0.0)))
    assert (reading.level, reading.reason) == (Level.STOP, Reason.DEVIATION)


def test_what_is_worse_is_said_first() -> None:
    plan = Trajectory((15.0, -30.0, -50.0), (15.0, -30.0, 50.0))
    reading = Guard(FIELDS, NEEDLE, LIMITS, plan).read(at((0, 0, -21)))
    assert (reading.level, reading.reason) == (Level.STOP, Reason.CLEARANCE)
    assert "off the planned" not in reading.text
    assert reading.deviation is not None
    assert reading.deviation.off_line_mm == pytest.approx(5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Needle(radius_mm=-1), lambda: Needle(length_mm=0), lambda: Needle(axis=(0, 0, 0)),
        lambda: Needle(radius_mm=float("nan")), lambda: GuardLimits(warn_margin_mm=-1),
        lambda: GuardLimits(warn_deviation_mm=5, stop_deviation_mm=4), lambda: GuardLimits(overshoot_mm=float("inf")),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match=r"give|no direction|less than"):
        wrong()
