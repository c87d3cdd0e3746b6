# SPDX-License-Identifier: Apache-2.0
"""Records topics as they are on DDS into a bag: what `liver-seg record` runs.

    python -m liver_seg_ros.nodes.bags.recorder BAG [--topics ct,labels] [--duration SECONDS]

Ends with SIGINT, SIGTERM, SIGHUP or after the duration, with exit code 0; the bag is there from then on. Exit code 2
where it cannot be written there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Writer

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.bags import written_bag
from liver_seg_ros.nodes.bags.definitions import Definitions, message_class
from liver_seg_ros.nodes.bags.process import Spin, run_with_node
from liver_seg_ros.nodes.bags.recorded_qos import offered

_LOOK_PERIOD_S = 0.5
#: Of messages that wait to be written; at least as many as a volume has slabs.
_DEPTH = 1024
#: What every node publishes for itself.
_LEFT_OUT = ("/rosout", "/parameter_events")
_HANDLE_TYPE = "liver_seg_interfaces/msg/VolumeHandle"


class Recorder:
    """Subscribes to every topic that appears and writes what comes, not looking into it.

    Args:
        node: that subscribes.
        writer: of the bag.
        topics: which; all where empty.
    """

    def __init__(self, node: Node, writer: Writer, topics: Sequence[str] = ()) -> None:
        self._node = node
        self._writer = writer
        self._wanted = {topic if topic.startswith("/") else f"/{topic}" for topic in topics}
        self._definitions = Definitions()
        self._seen: set[str] = set()
        self._connections: dict[str, Connection] = {}
        self.messages: dict[str, int] = {}  # of each topic of which one came
        self._look()
        node.create_timer(_LOOK_PERIOD_S, self._look)

    def _look(self) -> None:
        for topic, kinds in self._node.get_topic_names_and_types():
            if topic in self._seen or (self._wanted and topic not in self._wanted):
                continue
            profiles = [info.qos_profile for info in self._node.get_publishers_info_by_topic(topic)]
            if not profiles or (not self._wanted and topic in _LEFT_OUT):
                continue
            self._seen.add(topic)
            if _HANDLE_TYPE in kinds:
                continue  # what it tells of is gone before the bag is played; the slabs are recorded
            try:
                self._subscribe(topic, kinds, profiles)
            except InputError as error:
                self._node.get_logger().warning(f"{topic} is not recorded: {error}")

    def _subscribe(self, topic: str, kinds: Sequence[str], profiles: Sequence[QoSProfile]) -> None:
        if len(kinds) != 1:
            raise InputError(f"it has several types: {', '.join(kinds)}")
        (kind,) = kinds
        self._definitions.text(kind)  # refused now, not when the first message comes
        message = message_class(kind)
        # What all publishers offer, or some would not be heard.
        reliable = all(profile.reliability == ReliabilityPolicy.RELIABLE for profile in profiles)
        kept = all(profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in profiles)
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if kept else DurabilityPolicy.VOLATILE,
        )
        self._node.create_subscription(message, topic, self._writing(topic, kind, profiles), qos, raw=True)

    def _writing(self, topic: str, kind: str, profiles: Sequence[QoSProfile]) -> Callable[[bytes], None]:
        def write(data: bytes) -> None:
            connection = self._connections.get(topic)
            if connection is None:
                now = [info.qos_profile for info in self._node.get_publishers_info_by_topic(topic)] or profiles
                connection = self._connections[topic] = self._writer.add_connection(
                    topic,
                    kind,
                    msgdef=self._definitions.text(kind),
                    rihs01=self._definitions.type_hash(kind),
                    offered_qos_profiles=[offered(now, data, kind)],
                )
                self._node.get_logger().info(f"recording {topic}")
            self._writer.write(connection, time.time_ns(), data)
            self.messages[topic] = self.messages.get(topic, 0) + 1

        return write


def record(node: Node, spin: Spin, options: argparse.Namespace) -> dict[str, object]:
    """Record until `spin` says that the process ends, or for the duration; how many messages of which topics."""
    with written_bag(options.bag) as writer:
        recorder = Recorder(node, writer, options.topics)
        node.get_logger().info(f"recording into {options.bag}; Ctrl-C ends it")
        spin(options.duration)
    counted = ", ".join(f"{topic} {count}" for topic, count in recorder.messages.items()) or "no message came"
    node.get_logger().info(f"{options.bag}: {counted}")
    return {"bag": str(options.bag), "messages": recorder.messages}


def main() -> None:
    """Read the command line and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path)
    parser.add_argument("--topics", type=lambda text: text.split(","), default=[])
    parser.add_argument("--duration", type=float, default=float("inf"))
    run_with_node("bag_recorder", record, parser)


if __name__ == "__main__":
    main()
