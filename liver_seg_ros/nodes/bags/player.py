# SPDX-License-Identifier: Apache-2.0
"""Publishes what was recorded over DDS, as it was offered then: what `liver-seg replay` runs.

    python -m liver_seg_ros.nodes.bags.player BAG [--topics ct,labels] [--rate 2] [--loop] [--clock] [--keep]

Ends when the bag does, or with SIGINT, SIGTERM or SIGHUP, with exit code 0; with exit code 2 where the bag cannot be
played.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.bags import messages_of, offered_in, opened_bag, topics_of
from liver_seg_ros.nodes.bags.definitions import message_class
from liver_seg_ros.nodes.bags.process import Spin, run_with_node
from liver_seg_ros.nodes.bags.recorded_qos import to_publish
from liver_seg_ros.nodes.qos import live

_CLOCK_PERIOD_S = 0.025
_BETWEEN_LOOPS_S = 0.1
#: How long subscribers may take to take what was published last.
_ACKNOWLEDGED_S = 20.0


class Player:
    """Publishes the messages of a bag at the times they were recorded at.

    Args:
        node: that publishes.
        reader: of the bag.
        topics: of it.
        spin: of the process.
        rate: how many times as fast.
        clock: whether the bag's time is published on `/clock`.
    """

    def __init__(
        self, node: Node, reader: Reader, topics: Collection[Connection], spin: Spin, rate: float, clock: bool
    ) -> None:
        self._node = node
        self._reader = reader
        self._topics = topics
        self._spin = spin
        self._rate = rate
        self._publishers = dict(self._make_publishers())
        self.messages = dict.fromkeys(self._publishers, 0)  # that were published
        self._clock = node.create_publisher(Clock, "/clock", live()) if clock else None
        if not self._publishers:
            raise InputError(f"{reader.path}: holds nothing that can be played here")

    def play(self) -> bool:
        """Publish all once; False where a signal came first."""
        began_s, began_ns = time.monotonic(), self._reader.start_time
        for connection, stamp_ns, data in messages_of(self._reader, self._topics):
            publisher = self._publishers.get(connection.topic)
            if publisher is None:
                continue
            due_s = began_s + (stamp_ns - began_ns) / 1e9 / self._rate
            while (left_s := due_s - time.monotonic()) > 0:
                self._say_time(stamp_ns - int(left_s * self._rate * 1e9))
                if self._spin(min(left_s, _CLOCK_PERIOD_S) if self._clock else left_s):
                    return False
            self._say_time(stamp_ns)
            publisher.publish(data)
            self.messages[connection.topic] += 1
            if self._spin(0.0):
                return False
        return True

    def wait_until_taken(self) -> None:
        """Until every subscriber has what was published."""
        deadline = time.monotonic() + _ACKNOWLEDGED_S
        for topic, publisher in self._publishers.items():
            left = Duration(seconds=max(deadline - time.monotonic(), 0.0))
            if not publisher.wait_for_all_acked(left):
                self._node.get_logger().warning(f"{topic}: a subscriber has not taken all within {_ACKNOWLEDGED_S:g} s")

    def _make_publishers(self) -> Iterable[tuple[str, Publisher]]:
        for topic in sorted({connection.topic for connection in self._topics}):
            recordings = [connection for connection in self._topics if connection.topic == topic]
            kind = recordings[0].msgtype
            first = next(messages_of(self._reader, recordings), None)
            if first is None:
                continue
            try:
                message = message_class(kind)
            except InputError as error:
                self._node.get_logger().warning(f"{topic} is not played: {error}")
                continue
            qos = to_publish(offered_in(recordings), first[2], kind)
            yield topic, self._node.create_publisher(message, topic, qos)

    def _say_time(self, stamp_ns: int) -> None:
        if self._clock is not None:
            now = Clock()
            now.clock.sec, now.clock.nanosec = divmod(max(stamp_ns, 0), 1_000_000_000)
            self._clock.publish(now)


def replay(node: Node, spin: Spin, options: argparse.Namespace) -> dict[str, object]:
    """Play the bag once, or until `spin` says that the process ends; how many messages of which topics."""
    with opened_bag(options.bag) as reader:
        player = Player(node, reader, topics_of(reader, options.topics), spin, options.rate, options.clock)
        node.get_logger().info(f"playing {options.bag}, {reader.duration / 1e9 / options.rate:.1f} s")
        going_on = not spin(options.delay)
        while going_on and (going_on := player.play()) and options.loop:
            going_on = not spin(_BETWEEN_LOOPS_S)
        player.wait_until_taken()
        if options.keep and not spin(0.0):
            node.get_logger().info("played; latched topics stay for late subscribers until Ctrl-C")
            spin(float("inf"))
        return {"bag": str(options.bag), "messages": player.messages}


def main() -> None:
    """Read the command line and play."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path)
    parser.add_argument("--topics", type=lambda text: text.split(","), default=[])
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--delay", type=float, default=1.0)
    for flag in ("--loop", "--clock", "--keep"):
        parser.add_argument(flag, action="store_true")
    run_with_node("bag_player", replay, parser)


if __name__ == "__main__":
    main()
