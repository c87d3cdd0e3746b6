# SPDX-License-Identifier: Apache-2.0
"""Quality of service of recorded topics: what DDS tells of a publisher, and what a player offers in its place."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from liver_seg_interfaces.msg import Volume as VolumeMessage

VOLUME_TYPE = "liver_seg_interfaces/msg/Volume"
_FOREVER = QosTime(9223372036, 854775807)
_LIVE_DEPTH = 10


def offered(profiles: Iterable[QoSProfile], first: bytes, kind: str) -> Qos:
    """The one profile to which all that listen to these publishers can listen.

    DDS does not tell how much a publisher keeps for those that come later: here it is one message of each publisher,
    and of volumes all slabs of one.

    Args:
        profiles: of the publishers of one topic, as the graph tells them.
        first: the first message that came.
        kind: its type.
    """
    profiles = list(profiles)
    kept = any(profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in profiles)
    reliable = any(profile.reliability == ReliabilityPolicy.RELIABLE for profile in profiles)
    depth = max(len(profiles), slabs_of_volume(first, kind)) if kept else _LIVE_DEPTH
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if kept else QosDurability.VOLATILE,
        _FOREVER,
        _FOREVER,
        QosLiveliness.AUTOMATIC,
        _FOREVER,
        False,
    )


def to_publish(recorded: Iterable[Qos], first: bytes, kind: str) -> QoSProfile:
    """What a player offers for recordings of one topic; bags of `ros2 bag record` do not tell how much is kept."""
    recorded = list(recorded)
    kept = any(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in recorded)
    reliable = not recorded or any(qos.reliability != QosReliability.BEST_EFFORT for qos in recorded)
    depths = [qos.depth for qos in recorded if qos.history == QosHistory.KEEP_LAST]
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=max(*depths, 1, slabs_of_volume(first, kind) if kept else _LIVE_DEPTH),
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if kept else DurabilityPolicy.VOLATILE,
    )


def slabs_of_volume(first: bytes, kind: str) -> int:
    """How many slabs like `first` a volume may have, at most; 1 for all other messages."""
    if kind != VOLUME_TYPE:
        return 1
    slab = deserialize_message(first, VolumeMessage)
    least = max(slab.slice_count - 1, 1)  # slabs of one volume may differ by a slice
    return max(math.ceil(int(slab.size[2]) / least), 1)
