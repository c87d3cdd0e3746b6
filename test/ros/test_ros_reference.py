# SPDX-License-Identifier: Apache-2.0
"""docs/ros.md says what running nodes have, as DDS tells: topics, types, QoS, services, actions, parameters, frames."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from rcl_interfaces.msg import ParameterDescriptor, ParameterType
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters
from rclpy.action import get_action_server_names_and_types_by_node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from liver_seg_ros.files.volumes import write_volume

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from ros_page import COMPOSED, absolute, executables, quoted, rows, users

#: The nodes that the composed process holds.
IN_COMPOSED = {"ct_source", "segmentation", "reconstruction"}
DURABILITY = {"latched": DurabilityPolicy.TRANSIENT_LOCAL, "live": DurabilityPolicy.VOLATILE}

#: What every lifecycle node has from ROS itself, which the page names once for all.
SERVICES_OF_ROS = ("lifecycle_msgs/", "rcl_interfaces/", "type_description_interfaces/")
PARAMETERS_OF_ROS = re.compile(r"use_sim_time|start_type_description_service|qos_overrides\.")
TOPICS_OF_ROS = ("/rosout", "/parameter_events", "/clock")


def full_type(cell: str, kind: str) -> str:
    """`package/kind/Name` of the type that a cell begins with; without a package it is one of liver_seg_interfaces."""
    *package, name = re.match(r"[\w/]+", cell).group().split("/")
    return "/".join((*(package or ["liver_seg_interfaces"]), kind, name))


def documented_topics(node: str, column: str) -> dict[str, tuple[str, str]]:
    """Topic -> type and kind of QoS, of those that the page says a node publishes or takes."""
    return {
        topic: (full_type(row["type"], "msg"), row["QoS"].split(",")[0])
        for row in rows("Topics")
        for topic in map(absolute, quoted(row["topic"]))
        if node in users(row[column], topic, executables())
    }


def graph_topics(endpoints_of: Any, names_and_types: list, node: str) -> dict[str, tuple[str, str]]:
    """The same as the graph tells it, ROS's own topics left out. (DDS does not tell how deep a history is.)"""
    found = {}
    for topic, types in names_and_types:
        if topic in TOPICS_OF_ROS or topic.endswith("/transition_event") or "/_action/" in topic:
            continue
        (info,) = (info for info in endpoints_of(topic) if info.node_name == node)
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        (kind,) = (kind for kind, durability in DURABILITY.items() if durability == info.qos_profile.durability)
        found[topic] = (*types, kind)
    return found


def span(descriptor: ParameterDescriptor) -> str:
    """The range of a parameter as the page writes it."""
    for limits in (*descriptor.integer_range, *descriptor.floating_point_range):
        return f"{limits.from_value:.9g} to {limits.to_value:.9g}"
    return "any"


def default_in_words(value: object) -> str:
    """A default as the page writes it."""
    if isinstance(value, str):
        return f"`{value}`" if value else '`""`'
    return str(value).lower() if isinstance(value, bool) else str(list(value) if hasattr(value, "tolist") else value)


@pytest.fixture(scope="module", params=executables())
def running(ros_in, models, tmp_path_factory, request) -> Iterator[tuple[Any, str]]:
    """The observer, and the name of a node that runs alone and is active; it is started once for all that is asked."""
    folder = tmp_path_factory.mktemp(request.param)
    given = {"segmentation": {"models_dir": str(models)}, "dicom_receiver": {"spool": str(folder / "spool")}}
    with ros_in(folder) as ros:
        ros.start(request.param, **given.get(request.param, {}))
        ros.spin_until(lambda: ros.state(request.param) == "active")
        yield ros, request.param


def test_topics_are_those_of_the_page(running):
    ros, node = running
    published = documented_topics(node, "published by")
    taken = documented_topics(node, "taken by")
    graph = ros.node

    def seen() -> tuple[dict, dict]:
        return (
            graph_topics(
                graph.get_publishers_info_by_topic, graph.get_publisher_names_and_types_by_node(node, "/"), node
            ),
            graph_topics(
                graph.get_subscriptions_info_by_topic, graph.get_subscriber_names_and_types_by_node(node, "/"), node
            ),
        )

    ros.spin_for(1.0)  # discovery
    assert seen() == (published, taken)


def test_services_and_actions_are_those_of_the_page(running):
    ros, node = running
    ros.spin_for(1.0)
    services = {
        name: kind
        for name, (kind,) in ros.node.get_service_names_and_types_by_node(node, "/")
        if not kind.startswith(SERVICES_OF_ROS) and "/_action/" not in name
    }
    actions = {name: kind for name, (kind,) in get_action_server_names_and_types_by_node(ros.node, node, "/")}
    for seen, heading, kind in ((services, "Services", "srv"), (actions, "Actions", "action")):
        column = kind.replace("srv", "service")
        told = {absolute(*quoted(row[column])): full_type(row["type"], kind) for row in rows(heading)}
        assert seen == {name: kind for name, kind in told.items() if name.startswith(f"/{node}/")}


def test_parameters_are_those_of_the_page(running):
    ros, node = running
    listed = ros.call(ListParameters, f"/{node}/list_parameters", ListParameters.Request()).result.names
    names = sorted(name for name in listed if not PARAMETERS_OF_ROS.match(name))
    told = {
        name: row
        for row in rows("Parameters")
        if row["node"] == "all" or node in quoted(row["node"])
        for name in quoted(row["parameter"])
    }
    assert names == sorted(told)
    described = ros.call(
        DescribeParameters, f"/{node}/describe_parameters", DescribeParameters.Request(names=names)
    ).descriptors
    values = ros.call(GetParameters, f"/{node}/get_parameters", GetParameters.Request(names=names)).values
    for name, descriptor, value in zip(names, described, values, strict=True):
        assert descriptor.description.endswith("."), name
        assert told[name]["range"] == span(descriptor), name
        if name not in ("autostart", "models_dir", "spool"):  # which the test gives
            assert told[name]["default"] == default_in_words(parameter_value_to_python(value)), name
        is_number = descriptor.type in (ParameterType.PARAMETER_INTEGER, ParameterType.PARAMETER_DOUBLE)
        assert is_number == (told[name]["range"] != "any"), f"{name} is a number without a range, or the reverse"


def test_the_frames_of_all_messages_are_those_of_the_page(ros, models, ct, tmp_path):
    """One message of every topic that the composed process publishes."""
    write_volume(tmp_path / "ct.nrrd", ct)
    received: dict[str, list] = {}
    for row in rows("Topics"):
        package, _, name = full_type(row["type"], "msg").split("/")
        kind = getattr(import_module(f"{package}.msg"), name)
        listen = ros.latched if row["QoS"].startswith("latched") else ros.live
        for topic in map(absolute, quoted(row["topic"])):
            if {*users(row["published by"], topic, executables())} & IN_COMPOSED:
                received[topic] = listen(kind, topic)
    ros.start(COMPOSED, str(tmp_path / "ct.nrrd"), models_dir=str(models))
    ros.spin_until(lambda: all(map(ros.node.count_publishers, received)))
    ros.spin_for(1.0)  # until both sides know each other: what is not latched comes to nobody later
    assert ros.call(Trigger, "/ct_source/publish", Trigger.Request()).success
    ros.spin_until(lambda: all(received.values()))
    (moved,) = received.pop("/tf_static")[0].transforms
    for topic in ("/diagnostics", "/label_table"):  # are about no place
        received.pop(topic)
    for topic, (message, *_) in received.items():
        parts = getattr(message, "markers", [message])
        assert parts and {part.header.frame_id for part in parts} == {moved.child_frame_id}, topic
    ros.start("slice_viewer")
    images = ros.latched(Image, "/slice_viewer/image")
    ros.spin_until(lambda: bool(images))
    frames = {name for row in rows("Frames") for name in quoted(row["frame"])}
    defaults = {
        name: quoted(row["default"])[0] for row in rows("Parameters") for name in quoted(row["parameter"])
        if name.endswith("_frame")
    }  # fmt: skip
    assert defaults["parent_frame"] == moved.header.frame_id
    assert frames == {moved.child_frame_id, images[0].header.frame_id, *defaults.values()}
