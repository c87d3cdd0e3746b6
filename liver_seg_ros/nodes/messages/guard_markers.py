# SPDX-License-Identifier: Apache-2.0
"""What a guard says as `visualization_msgs/MarkerArray`, for RViz, in metres."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Duration
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from liver_seg_ros.geometry import MM_PER_M
from liver_seg_ros.nodes.messages.points import mm_to_point, mm_to_points
from liver_seg_ros.planning.guard import GuardReading, Level
from liver_seg_ros.planning.trajectory_values import Trajectory

#: Red, green, blue of each level.
COLORS = {Level.OK: (0.25, 0.80, 0.35), Level.WARN: (1.0, 0.75, 0.0), Level.STOP: (1.0, 0.15, 0.15)}
PLAN_COLOR = (0.75, 0.80, 0.90)

#: RViz forgets a marker that is not sent again for so long: a guard that died shows nothing.
LIFETIME_S = 1.5
#: A needle is drawn at least so thick, lines so thick, and letters so high.
LEAST_DIAMETER_M, LINE_M, TEXT_M = 0.0015, 0.001, 0.012


def guard_markers(
    reading: GuardReading,
    needle_mm: NDArray[np.float64] | None,
    radius_mm: float,
    surface_mm: NDArray[np.float64] | None,
    plan: Trajectory | None,
    header: Header,
) -> MarkerArray:
    """Namespaces `needle`, `clearance`, `plan` and `level`, in the level's color; what there is not is removed.

    Args:
        reading: the latest.
        needle_mm: `(2, 3)` tip and end of the shaft, LPS, where they were known last; None where they never were.
        radius_mm: of the shaft.
        surface_mm: `(3,)` the point of the nearest structure's surface that is nearest to the needle.
        plan: the trajectory that is followed.
        header: of the markers; in the CT's axes.
    """
    markers = MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])
    if plan is not None:
        markers.markers.append(_line("plan", [plan.entry_mm, plan.target_mm], header, PLAN_COLOR))
    if needle_mm is None:
        return markers
    color = COLORS[reading.level]
    markers.markers.append(_cylinder(needle_mm, radius_mm, header, color, 1.0 if reading.tip_mm is not None else 0.3))
    nearest = reading.nearest
    if nearest is not None and surface_mm is not None:
        markers.markers.append(_line("clearance", np.array([nearest.at_mm, surface_mm]), header, color))
    label = _marker("level", Marker.TEXT_VIEW_FACING, header, color)
    label.pose.position, label.scale.z = mm_to_point(needle_mm[1]), TEXT_M
    label.text = f"{reading.level.name} {reading.text}".strip()
    if nearest is not None and not reading.text:
        label.text += f" {nearest.clearance_mm:.0f} mm to the {nearest.structure.title}"
    markers.markers.append(label)
    return markers


def _cylinder(
    ends_mm: NDArray[np.float64], radius_mm: float, header: Header, color: tuple[float, float, float], opacity: float
) -> Marker:
    marker = _marker("needle", Marker.CYLINDER, header, color, opacity)
    tip, end = ends_mm
    length_mm = float(np.linalg.norm(tip - end))
    marker.scale.z = length_mm / MM_PER_M
    marker.scale.x = marker.scale.y = max(2 * radius_mm / MM_PER_M, LEAST_DIAMETER_M)
    marker.pose.position = mm_to_point((tip + end) / 2)
    turn = Rotation.align_vectors([(tip - end) / length_mm], [[0.0, 0.0, 1.0]])[0].as_quat()
    quaternion = marker.pose.orientation
    quaternion.x, quaternion.y, quaternion.z, quaternion.w = turn.tolist()
    return marker


def _line(namespace: str, ends_mm: ArrayLike, header: Header, color: tuple[float, float, float]) -> Marker:
    marker = _marker(namespace, Marker.LINE_STRIP, header, color)
    marker.scale.x = LINE_M
    marker.points = mm_to_points(ends_mm)
    return marker


def _marker(
    namespace: str, kind: int, header: Header, color: tuple[float, float, float], opacity: float = 1.0
) -> Marker:
    red, green, blue = color
    marker = Marker(header=header, ns=namespace, type=kind, action=Marker.ADD, frame_locked=True)
    marker.pose.orientation.w = 1.0
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=opacity)
    marker.lifetime = Duration(sec=int(LIFETIME_S), nanosec=round(LIFETIME_S % 1 * 1e9))
    return marker
