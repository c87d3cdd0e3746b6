# SPDX-License-Identifier: Apache-2.0
"""The two qualities of service in use."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def latched(depth: int) -> QoSProfile:
    """Reliable, and kept for subscribers that come later.

    A volume of n slabs reaches a late subscriber whole only if publisher and subscriber both keep at least n messages.
    """
    return QoSProfile(
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
    )


def live(depth: int = 10) -> QoSProfile:
    """Reliable, and not kept: for what is of no use once it is old."""
    return QoSProfile(
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.VOLATILE,
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
    )
