# SPDX-License-Identifier: Apache-2.0
"""RViz's layout shows topics that the nodes have, of the types that its displays take, in any namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

LAYOUT = Path(__file__).resolve().parents[2] / "rviz" / "liver_seg.rviz"
NAMESPACE = "left"

#: What RViz's displays take; None where it is no topic of their own. Its tools publish.
DISPLAYS = {
    "Grid": None,
    "TF": None,
    "Image": "sensor_msgs/msg/Image",
    "MarkerArray": "visualization_msgs/msg/MarkerArray",
    "PointCloud2": "sensor_msgs/msg/PointCloud2",
}
TOOLS = {"MoveCamera": None, "Measure": None, "FocusCamera": None, "PublishPoint": "geometry_msgs/msg/PointStamped"}
DURABILITY = {"Transient Local": DurabilityPolicy.TRANSIENT_LOCAL, "Volatile": DurabilityPolicy.VOLATILE}


def manager() -> dict[str, Any]:
    layout: dict[str, Any] = yaml.safe_load(LAYOUT.read_text(encoding="utf-8"))["Visualization Manager"]
    return layout


def shown(parts: list[dict[str, Any]], types: dict[str, str | None]) -> Iterator[tuple[dict[str, Any], str]]:
    """The topics of displays or tools, and their types."""
    for part in parts:
        kind = types[part["Class"].removeprefix("rviz_default_plugins/")]
        assert (kind is None) == ("Topic" not in part)
        if kind is not None:
            yield part["Topic"], kind


@pytest.fixture
def nodes(ros: Any) -> Iterator[list[Any]]:
    """Those that RViz looks at, active, in a namespace."""
    from liver_seg_ros.nodes.needle_guard import NeedleGuard
    from liver_seg_ros.nodes.reconstruction import ReconstructionNode
    from liver_seg_ros.nodes.slice_viewer import SliceViewer

    made = [kind(context=ros.context, namespace=NAMESPACE) for kind in (ReconstructionNode, NeedleGuard, SliceViewer)]
    for node in made:
        node.trigger_configure()
        node.trigger_activate()
        assert node.active
    yield made
    for node in made:
        assert node.worker.stop(5.0)
        node.destroy_node()


def test_each_display_finds_its_topic_with_its_type_and_quality(ros: Any, nodes: list[Any]) -> None:
    topics = list(shown(manager()["Displays"], DISPLAYS))
    assert {topic["Value"] for topic, _ in topics} == {
        "slice_viewer/image", "needle_guard/markers", "markers", "vessel_tree_markers", "cloud", "clearance_cloud",
    }  # fmt: skip
    for topic, kind in topics:
        name = f"/{NAMESPACE}/{topic['Value']}"  # where it would be absolute, a namespace showed nothing
        ros.spin_until(lambda name=name: bool(ros.node.count_publishers(name)))
        [publisher] = ros.node.get_publishers_info_by_topic(name)
        assert publisher.topic_type == kind
        assert_same_quality(publisher, topic)


def test_a_click_comes_to_the_slice_viewer(ros: Any, nodes: list[Any]) -> None:
    [(topic, kind)] = shown(manager()["Tools"], TOOLS)
    name = f"/{NAMESPACE}/{topic['Value']}"
    ros.spin_until(lambda: bool(ros.node.count_subscribers(name)))
    [subscription] = ros.node.get_subscriptions_info_by_topic(name)
    assert (subscription.node_name, subscription.topic_type) == ("slice_viewer", kind)
    assert_same_quality(subscription, topic)


def assert_same_quality(endpoint: TopicEndpointInfo, topic: dict[str, Any]) -> None:
    """What is latched is asked for as latched, or it does not come to an RViz that is opened late."""
    assert endpoint.qos_profile.durability == DURABILITY[topic["Durability Policy"]]
    assert (endpoint.qos_profile.reliability, topic["Reliability Policy"]) == (ReliabilityPolicy.RELIABLE, "Reliable")


def test_the_frame_is_the_cts_and_views_follow_the_one_that_launch_says() -> None:
    layout = manager()
    assert layout["Global Options"]["Fixed Frame"] == "ct_lps"  # another one is said by -f
    assert layout["Views"]["Current"]["Target Frame"] == "<Fixed Frame>"
