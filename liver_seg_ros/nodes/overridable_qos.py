# SPDX-License-Identifier: Apache-2.0
"""Topics whose quality of service can be set from outside, as ROS 2 does it: parameters `qos_overrides.<topic>...`.

They are declared when the publisher or subscription is made, can be given at start only, and are by the resolved name
of the topic: `qos_overrides./left/cloud.publisher.reliability`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.qos import QoSPolicyKind
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from liver_seg_ros.errors import InputError

_KINDS = (QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
#: Of every topic unless it says otherwise.
ALL = QoSOverridingOptions((*_KINDS, QoSPolicyKind.DEPTH))
#: Of topics whose depth is a parameter of its own.
ALL_BUT_DEPTH = QoSOverridingOptions(_KINDS)


class OverridableQos(LifecycleNode):
    """A lifecycle node each of whose topics takes overrides; ROS's own (`/rosout`, `/parameter_events`) do not.

    Args:
        args, kwargs: those of `rclpy.node.Node`.
    """

    _made = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._made = True

    def create_publisher(self, *args: Any, **kwargs: Any) -> Publisher:
        return self._overridden(super().create_publisher, args, kwargs)

    def create_lifecycle_publisher(self, *args: Any, **kwargs: Any) -> Publisher:
        return self._overridden(super().create_lifecycle_publisher, args, kwargs)

    def create_subscription(self, *args: Any, **kwargs: Any) -> Subscription:
        return self._overridden(super().create_subscription, args, kwargs)

    def _overridden(self, create: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._made:
            kwargs.setdefault("qos_overriding_options", ALL)
        try:
            return create(*args, **kwargs)
        except RuntimeError as error:  # which rclpy raises for a word that is no policy
            if "QoS override" not in str(error):
                raise
            raise InputError(f"topic {args[1]}: {error}; see qos_overrides in docs/ros.md") from error
