# SPDX-License-Identifier: Apache-2.0
"""What RViz shows of the guard: where the markers are, in which color, and what goes away."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("visualization_msgs.msg", reason="ROS 2's messages are not installed (make setup installs them)")

from scipy.spatial.transform import Rotation
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from liver_seg_ros.labels import VESSEL
from liver_seg_ros.nodes.messages.guard_markers import COLORS, guard_markers
from liver_seg_ros.planning.guard import GuardReading, Level, Reason
from liver_seg_ros.planning.trajectory_values import Clearance, Trajectory

TIP, END = np.array([10.0, 20.0, 30.0]), np.array([10.0, 80.0, 110.0])
NEEDLE = np.array([TIP, END])
SURFACE = np.array([25.0, 20.0, 30.0])
HEADER = Header(frame_id="left/ct_lps")


def reading(level: Level, known: bool = True) -> GuardReading:
    clearances = (Clearance(VESSEL, 15.0, (10.0, 20.0, 30.0)),) if known else ()
    text = "" if level == Level.OK else "why"
    return GuardReading(level, Reason.NONE, text, (10.0, 20.0, 30.0) if known else None, clearances)


def test_the_needle_its_shortest_distance_and_the_plan_are_where_they_are():
    plan = Trajectory((0.0, 0.0, 0.0), (0.0, 0.0, 50.0), 0.75)
    first, *rest = guard_markers(reading(Level.OK), NEEDLE, 1.2, SURFACE, plan, HEADER).markers
    assert first.action == Marker.DELETEALL
    markers = {marker.ns: marker for marker in rest}
    assert set(markers) == {"needle", "clearance", "plan", "level"}
    assert {marker.header.frame_id for marker in rest} == {"left/ct_lps"}
    # The ends of RViz's cylinder, which lies along its own z around its position.
    needle = markers["needle"]
    place, turn = needle.pose.position, needle.pose.orientation
    axis = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).apply([0, 0, needle.scale.z / 2])
    ends = np.array([place.x, place.y, place.z]) + np.array([axis, -axis])
    np.testing.assert_allclose(1000 * ends, NEEDLE, atol=1e-6)
    assert needle.scale.x == needle.scale.y == pytest.approx(0.0024)
    line = [(point.x, point.y, point.z) for point in markers["clearance"].points]
    np.testing.assert_allclose(1000 * np.array(line), [TIP, SURFACE])
    assert markers["level"].text == "OK 15 mm to the vessel"


@pytest.mark.parametrize("level", Level)
def test_the_color_is_that_of_the_level_and_a_dead_guards_markers_go_away(level):
    _, needle, line, text = guard_markers(reading(level), NEEDLE, 1.2, SURFACE, None, HEADER).markers
    for marker in (needle, line, text):
        assert (marker.color.r, marker.color.g, marker.color.b) == pytest.approx(COLORS[level])
        assert 0 < marker.lifetime.sec + marker.lifetime.nanosec / 1e9 < 2
    assert text.text.startswith(level.name)


def test_a_needle_whose_place_is_lost_is_pale_where_it_was_last():
    _, needle, text = guard_markers(reading(Level.STOP, known=False), NEEDLE, 1.2, None, None, HEADER).markers
    assert (needle.ns, text.text) == ("needle", "STOP why") and needle.color.a < 0.5
    [only] = guard_markers(reading(Level.STOP, known=False), None, 1.2, None, None, HEADER).markers
    assert only.action == Marker.DELETEALL
