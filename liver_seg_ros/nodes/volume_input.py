# SPDX-License-Identifier: Apache-2.0
"""A subscription that takes in slabs, or what lies in this host's shared memory, and gives out whole volumes."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from liver_seg_interfaces.msg import Volume as VolumeMessage
from liver_seg_interfaces.msg import VolumeHandle
from liver_seg_ros.errors import InputError
from liver_seg_ros.malloc import give_back_freed_memory
from liver_seg_ros.nodes.messages.assembler import Assembled, Assembler
from liver_seg_ros.nodes.messages.handles import handle_to_slab
from liver_seg_ros.nodes.messages.volumes import message_to_slab
from liver_seg_ros.nodes.overridable_qos import ALL_BUT_DEPTH
from liver_seg_ros.nodes.parameter_tables import VOLUME_INPUT
from liver_seg_ros.nodes.qos import latched
from liver_seg_ros.nodes.reporting import Reporting
from liver_seg_ros.nodes.shared_memory import SegmentGoneError
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.volume_output import handle_topic

_CHECK_PERIOD_S = 0.5

#: At so many checks after the slabs' subscription went is freed memory given back: the executor may hold it a while.
_CHECKS_UNTIL_FREED = 4


class VolumeInput:
    """Listens to one topic of `Volume` messages while it is open.

    Where everybody who publishes on it tells where the volumes lie in this host's shared memory, they are taken from
    there, and the slabs are not subscribed to. Whatever is wrong with that, the slabs come after all.

    What cannot be used, and slices that do not come, are said on the node's diagnostics; the node goes on.

    Args:
        node: whose topic, parameters and diagnostics.
        topic: name of the topic.
        dtype: int16 for a CT, uint8 for labels.
        deliver: called on the executor's thread with each complete volume.
        reporting: reports the volumes that will never be complete; None where the node reports none.
    """

    def __init__(
        self,
        node: StageNode,
        topic: str,
        dtype: type[np.generic],
        deliver: Callable[[Assembled], None],
        reporting: Reporting | None = None,
    ) -> None:
        self._node = node
        self._topic = topic
        self._dtype = dtype
        self._deliver = deliver
        self._reporting = reporting
        self._refused = ""  # uid of the volume that was refused last: it comes in many slabs, and gets one report
        self._assembler: Assembler | None = None
        self._subscription: Subscription | None = None  # of the slabs; None while they are not needed
        self._checks_until_freed = 0  # 0: what the slabs had is given back
        self._handles: Subscription | None = None
        self._timer: Timer | None = None
        node.declare_missing(VOLUME_INPUT)

    def open(self) -> None:
        """Subscribe; a volume that was published before comes now."""
        parameter = self._node.get_parameter
        self._assembler = Assembler(
            self._dtype,
            parameter("slab_timeout_s").value,
            parameter("max_volume_mb").value * 1_000_000,
            parameter("give_up_after_s").value,
        )
        self._subscribe()
        if parameter("shared_memory").value:
            self._handles = self._node.create_subscription(
                VolumeHandle, handle_topic(self._topic), self._on_handle, latched(1)
            )
        # The machine's own time: slices are missing whether or not a simulation's clock runs.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(_CHECK_PERIOD_S, self._check, clock=steady)

    def close(self) -> None:
        """Unsubscribe and forget what was collected, which is reported as cancelled."""
        self._unsubscribe()
        if self._handles is not None:
            self._node.destroy_subscription(self._handles)
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        if self._assembler is not None and self._reporting is not None:
            for uid in self._assembler.open_uids:
                self._reporting.cancelled(uid, "the node was deactivated before all slices came")
        self._assembler, self._handles, self._timer = None, None, None

    def _subscribe(self) -> None:
        """To the slabs; those that are kept come now."""
        if self._subscription is None and self._assembler is not None:
            self._assembler.expect_doubles(time.monotonic())
            quality = latched(self._node.get_parameter("subscriber_depth").value)
            self._subscription = self._node.create_subscription(
                VolumeMessage, self._topic, self._on_slab, quality, qos_overriding_options=ALL_BUT_DEPTH
            )

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._checks_until_freed = _CHECKS_UNTIL_FREED
        self._subscription = None

    def _on_handle(self, message: VolumeHandle) -> None:
        if self._assembler is None:
            return
        try:
            assembled = self._assembler.add(handle_to_slab(message, self._node.ct_frame), time.monotonic())
        except InputError as error:
            said = self._node.get_logger().info if isinstance(error, SegmentGoneError) else self._node.diagnostics.warn
            said(f"{error}; its slabs are taken")
            self._subscribe()
            return
        if self._all_tell_where():
            self._unsubscribe()
        if assembled is not None:
            self._deliver(assembled)

    def _all_tell_where(self) -> bool:
        """Whether all who publish slabs also publish handles."""
        slabs, handles = (
            {(of.node_namespace, of.node_name) for of in self._node.get_publishers_info_by_topic(topic)}
            for topic in (self._topic, handle_topic(self._topic))
        )
        return slabs <= handles

    def _check(self) -> None:
        if self._subscription is None and not self._all_tell_where():
            self._subscribe()  # somebody came who has slabs only
        elif self._subscription is None and self._checks_until_freed:
            self._checks_until_freed -= 1
            give_back_freed_memory()  # as much as two CTs, which this process would keep for the next slabs
        self._say_warnings()

    def _on_slab(self, message: VolumeMessage) -> None:
        if self._assembler is None:
            return
        try:
            assembled = self._assembler.add(message_to_slab(message, self._node.ct_frame), time.monotonic())
        except InputError as error:
            self._node.diagnostics.fail(error)
            self._report_refusal(message.volume_uid, str(error))
            return
        self._say_warnings()
        if assembled is not None:
            self._deliver(assembled)

    def _report_refusal(self, uid: str, why: str) -> None:
        if self._reporting is None or self._assembler is None or self._assembler.knows(uid) or uid == self._refused:
            return
        self._refused = uid
        self._reporting.refuse(uid, why)

    def _say_warnings(self) -> None:
        if self._assembler is None:
            return
        for line in self._assembler.take_warnings(time.monotonic()):
            self._node.diagnostics.warn(line)
        for uid, line in self._assembler.take_dropped():
            if self._reporting is not None:
                self._reporting.refuse(uid, line)
