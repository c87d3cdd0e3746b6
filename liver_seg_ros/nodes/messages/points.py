# SPDX-License-Identifier: Apache-2.0
"""Points of messages, in metres, from and to places in millimetres; the axes are the same."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from geometry_msgs.msg import Point
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.geometry import MM_PER_M, Vector, lps_to_ros, ros_to_lps


def mm_to_point(point_mm: ArrayLike) -> Point:
    """Of one place `(3,)`."""
    x, y, z = lps_to_ros(point_mm).tolist()
    return Point(x=x, y=y, z=z)


def mm_to_points(points_mm: ArrayLike) -> list[Point]:
    """Of places `(N, 3)`."""
    return [Point(x=x, y=y, z=z) for x, y, z in lps_to_ros(points_mm).tolist()]


def point_to_mm(point: Point) -> Vector:
    """Of one point."""
    return point.x * MM_PER_M, point.y * MM_PER_M, point.z * MM_PER_M


def points_to_mm(points: Iterable[Point]) -> NDArray[np.float64]:
    """`(N, 3)` float64 mm."""
    return ros_to_lps([(point.x, point.y, point.z) for point in points]).reshape(-1, 3)
