# SPDX-License-Identifier: Apache-2.0
"""The node `slice_viewer`: publishes a picture of a plane through CT and labels, and where that plane is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from rclpy.time import Time
from rclpy.timer import Timer
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from liver_seg_ros.files.checks import check_grid
from liver_seg_ros.geometry import to_vector
from liver_seg_ros.nodes.messages.assembler import Assembled
from liver_seg_ros.nodes.messages.pictures import picture_to_message, plane_to_transform
from liver_seg_ros.nodes.messages.points import points_to_mm
from liver_seg_ros.nodes.messages.volumes import FRAME_ID
from liver_seg_ros.nodes.needle_parameters import needle_of
from liver_seg_ros.nodes.parameter_tables import SLICE_VIEWER
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.qos import latched, live
from liver_seg_ros.nodes.slice_choice import SliceChoice
from liver_seg_ros.nodes.slice_parameters import NEEDLE, SliceParameters
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.tip_watch import TipWatch
from liver_seg_ros.nodes.transform_buffer import TransformError
from liver_seg_ros.nodes.transforms import Transforms, open_transforms
from liver_seg_ros.nodes.volume_input import VolumeInput
from liver_seg_ros.planning.guard import Reason
from liver_seg_ros.progress import Cancelled, raise_if_cancelled
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.picture_plane import PicturePlane
from liver_seg_ros.rendering.plane_picture import plane_picture
from liver_seg_ros.volume import LabelVolume, Volume

#: So often the plane's frame is told again, and the view of a needle that does not move drawn again.
_AGAIN_S = 1.0


class SliceViewer(StageNode):
    """Publishes `slice_viewer/image` when what it shows has changed, and the frame of the picture on `/tf`.

    Args:
        kwargs: those of `rclpy.node.Node`.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__("slice_viewer", SLICE_VIEWER, **kwargs)
        self._ct_input = VolumeInput(self, "ct", np.int16, self._on_ct)
        self._labels_input = VolumeInput(self, "labels", np.uint8, self._on_labels)
        self._ct: Volume | None = None
        self._labels: LabelVolume | None = None
        self._choice = SliceChoice()
        self._changed = False  # since the last picture was begun
        self._seen: object = None  # of the needle, for that picture
        self._drawn_s = self._told_s = 0.0
        self._said = ""
        self._transforms: Transforms | None = None
        self._clicks: Subscription | None = None
        self._timer: Timer | None = None
        self._image: Publisher | None = None
        self._tf: Publisher | None = None

    @property
    def slice_frame(self) -> str:
        """The frame of the picture: its middle, x to its right, y down, z into it."""
        return f"{self.ct_frame}_slice_optical"

    def parameters_changed(self, changed: Mapping[str, Any]) -> None:
        self._changed = True

    def configure(self) -> None:
        self._needle = needle_of(self)
        self._image = self.create_lifecycle_publisher(Image, "slice_viewer/image", latched(1))
        self._tf = self.create_lifecycle_publisher(TFMessage, "/tf", live())

    def activate(self) -> None:
        self._watch = TipWatch(self.get_parameter("tf_timeout_s").value, np.inf)
        self._transforms = open_transforms(self, lambda _: None)
        self._ct_input.open()
        self._labels_input.open()
        self._clicks = self.create_subscription(PointStamped, "clicked_point", self._on_click, live())
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(1 / self.get_parameter("rate_hz").value, self._on_tick, clock=steady)
        self.diagnostics.say("waiting for a CT")

    def deactivate(self) -> None:
        self._ct_input.close()
        self._labels_input.close()
        if self._timer is not None:
            self.destroy_timer(self._timer)
        if self._clicks is not None:
            self.destroy_subscription(self._clicks)
        if self._transforms is not None:
            self._transforms.close()
        self._timer, self._clicks, self._transforms = None, None, None
        self._ct, self._labels, self._choice, self._said = None, None, SliceChoice(), ""

    def cleanup(self) -> None:
        for publisher in (self._image, self._tf):
            if publisher is not None:
                self.destroy_lifecycle_publisher(publisher)
        self._image, self._tf = None, None

    def _on_ct(self, assembled: Assembled) -> None:
        self._ct = Volume(assembled.array, assembled.geometry, assembled.uid)
        self._choice = SliceChoice()  # a click, and the last plane, were in another patient
        self._changed = True

    def _on_labels(self, assembled: Assembled) -> None:
        self._labels = LabelVolume(assembled.array, assembled.geometry, assembled.uid)
        self._changed = True

    def _on_click(self, point: PointStamped) -> None:
        frame = point.header.frame_id or self.ct_frame
        [clicked_mm] = points_to_mm([point.point])
        assert self._transforms is not None
        try:
            if frame not in (self.ct_frame, FRAME_ID):
                clicked_mm = self._transforms.lookup(self.ct_frame, frame).transform.apply(clicked_mm)
        except TransformError as error:
            self.diagnostics.warn(f"the clicked point is not shown: {error}")
            return
        if not np.isfinite(clicked_mm).all():
            self.diagnostics.warn("the clicked point is not shown: it is not finite")
            return
        self._choice.clicked_mm = to_vector(clicked_mm)
        self._changed = True
        self.set_parameters([Parameter("through", value="clicked")])

    def _on_tick(self) -> None:
        """Begin a picture where something changed and none is being drawn."""
        ct = self._ct
        if ct is None or self.worker.busy:
            return
        asked = SliceParameters.of(lambda name: self.get_parameter(name).value)
        labels = self._labels if self._labels is not None and self._labels.uid == ct.uid else None
        needle, stamp_ns, why = self._needle_now() if asked.view == NEEDLE else (None, None, "")
        now_s = time.monotonic()
        seen = (needle, bool(why))
        old = asked.view == NEEDLE and now_s - self._drawn_s >= _AGAIN_S
        if self._changed or seen != self._seen or old:
            self._changed, self._seen, self._drawn_s, self._told_s = False, seen, now_s, now_s
            stamp = self.get_clock().now() if stamp_ns is None else Time(nanoseconds=stamp_ns)
            self.worker.submit(partial(self._draw, ct, labels, self._choice, asked, needle, why, stamp))
        elif self._choice.last is not None and now_s - self._told_s >= _AGAIN_S:
            self._told_s = now_s
            self._tell_plane(self._choice.last, self.get_clock().now())

    def _needle_now(self) -> tuple[DrawnTrajectory | None, int | None, str]:
        """The needle in the CT's frame, the stamp of that, and why there is none."""
        assert self._transforms is not None
        try:
            found = self._transforms.lookup(self.ct_frame, self.get_parameter("tip_frame").value)
        except TransformError as error:
            return None, None, f"the needle's place is not known: {error}"
        tip_mm, end_mm = self._needle.placed(found.transform)
        now_ns = self.get_clock().now().nanoseconds
        reason, why = self._watch.judge(found.stamp_ns, tip_mm, now_ns, time.monotonic())
        if reason != Reason.NONE:
            return None, None, why
        drawn = DrawnTrajectory("needle", to_vector(end_mm), to_vector(tip_mm), self._needle.radius_mm)
        return drawn, found.stamp_ns, ""

    def _draw(
        self, ct: Volume, labels: LabelVolume | None, choice: SliceChoice, asked: SliceParameters,
        needle: DrawnTrajectory | None, why: str, stamp: Time, cancelled: Cancelled,
    ) -> None:  # fmt: skip
        """On the worker's thread; `choice` is that of this CT, whatever comes meanwhile."""
        for volume in (ct, labels):
            if volume is not None:  # whatever its voxels are, they may be looked at
                check_grid(volume.geometry, f"volume {volume.uid}")
        plane = choice.plane(ct, labels, asked, needle)
        picture = plane_picture(ct, labels, plane, asked.window_hu, needle, "NEEDLE NOT KNOWN" if why else "")
        raise_if_cancelled(cancelled, "drawing")
        publisher = self._image
        if publisher is not None:
            self._tell_plane(plane, stamp)  # first, so that it is known when the picture comes
            publisher.publish(picture_to_message(picture, Header(stamp=stamp.to_msg(), frame_id=self.slice_frame)))
        self._say_change(why, f"showing {asked.view} of volume {ct.uid}{'' if labels else ', without labels'}", ct.uid)

    def _tell_plane(self, plane: PicturePlane, stamp: Time) -> None:
        publisher = self._tf
        if publisher is not None:
            header = Header(stamp=stamp.to_msg(), frame_id=self.ct_frame)
            publisher.publish(TFMessage(transforms=[plane_to_transform(plane, header, self.slice_frame)]))

    def _say_change(self, why: str, showing: str, uid: str) -> None:
        """Diagnostics follow what is shown, not each picture."""
        said = "needle" if why else showing
        if said == self._said:
            return
        self._said = said
        if why:
            self.diagnostics.warn(why)
        else:
            self.diagnostics.say(showing, last_volume=uid)


def _make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    return [SliceViewer()]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(_make_nodes)


if __name__ == "__main__":
    main()
