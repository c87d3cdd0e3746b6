# SPDX-License-Identifier: Apache-2.0
"""Which needle it is, as the parameters `parameter_tables.NEEDLE` of a node say."""

from __future__ import annotations

from rclpy.node import Node

from liver_seg_ros.geometry import MM_PER_M, to_vector
from liver_seg_ros.planning.guard import Needle


def needle_of(node: Node) -> Needle:
    """The needle. Raises `InputError` for an axis that is no direction."""
    radius_m, length_m = (node.get_parameter(f"needle_{name}_m").value for name in ("radius", "length"))
    axis = to_vector(list(node.get_parameter("needle_axis").value))
    return Needle(MM_PER_M * radius_m, MM_PER_M * length_m, axis)
