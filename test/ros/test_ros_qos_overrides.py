# SPDX-License-Identifier: Apache-2.0
"""The quality of service of a node's topics can be set from outside, and a wrong word is said in one line."""

from __future__ import annotations

from typing import Any

from lifecycle_msgs.msg import Transition
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy


def test_overrides_are_taken_by_publishers_and_subscriptions_again_and_again(ros: Any) -> None:
    overrides = {
        "qos_overrides./cloud.publisher.reliability": "best_effort",
        "qos_overrides./labels.subscription.durability": "volatile",
    }
    ros.start("reconstruction", **overrides)
    ros.spin_until(lambda: ros.state("reconstruction") == "active")

    def is_overridden() -> bool:
        publishers = ros.node.get_publishers_info_by_topic("/cloud")
        subscriptions = ros.node.get_subscriptions_info_by_topic("/labels")
        return [info.qos_profile.reliability for info in publishers] == [ReliabilityPolicy.BEST_EFFORT] and [
            info.qos_profile.durability for info in subscriptions
        ] == [DurabilityPolicy.VOLATILE]

    ros.spin_until(is_overridden)
    [untouched] = ros.node.get_publishers_info_by_topic("/meshes")
    assert untouched.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    for transition in ("DEACTIVATE", "CLEANUP", "CONFIGURE", "ACTIVATE"):
        assert ros.change_state("reconstruction", getattr(Transition, f"TRANSITION_{transition}"))
    ros.spin_until(is_overridden)


def test_a_word_that_is_no_policy_fails_in_one_line(ros: Any) -> None:
    ros.start("ct_source", **{"qos_overrides./ct.publisher.reliability": "sometimes"})
    ros.wait_for_line("/ct_source 2", "topic ct: ", "`reliability`: `sometimes`")
    at_start = ros.start("planner", **{"qos_overrides./diagnostics.publisher.reliability": "sometimes"})
    assert at_start.wait(60) == 2
    assert "sometimes" in ros.log("planner") and "Traceback" not in ros.log("planner")
