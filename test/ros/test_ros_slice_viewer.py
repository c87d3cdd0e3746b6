# SPDX-License-Identifier: Apache-2.0
"""The node `slice_viewer` over real DDS: what its pictures show, by the plane that TF tells and the label table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, TransformStamped
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from liver_seg_ros.labels import TUMOR, VESSEL
from liver_seg_ros.nodes import qos
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.planning.target import lesion_target
from liver_seg_ros.rendering.plane_picture import NEEDLE, WARNING
from liver_seg_ros.volume import LabelVolume, Volume

PIXEL_M = 0.001
#: Where `ct_lps` is in `map`: turned half around z, so that x and y are mirrored, and shifted.
SHIFT_M = np.array([0.5, 0.2, 0.1])


class Viewer:
    """Publishes what the viewer takes in, and keeps what it shows."""

    def __init__(self, ros: Any, ct: Volume) -> None:
        self.ros = ros
        self.images: list[Image] = ros.latched(Image, "/slice_viewer/image")
        self.planes: dict[int, Any] = {}  # by stamp
        ros.node.create_subscription(TFMessage, "/tf", self._on_tf, 100)
        self.tf = ros.node.create_publisher(TFMessage, "/tf", 100)
        self.clicks = ros.node.create_publisher(PointStamped, "clicked_point", 10)
        static = ros.node.create_publisher(TFMessage, "/tf_static", qos.latched(10))
        static.publish(TFMessage(transforms=[self.transform("map", "ct_lps", SHIFT_M, [0.0, 0.0, 1.0, 0.0])]))
        values = np.searchsorted([-100, 60, 140, 220], ct.array).astype(np.uint8)  # its structures' HU
        self.labels = LabelVolume(values, ct.geometry, ct.uid)
        for topic, volume in (("ct", ct), ("labels", self.labels)):
            publisher = ros.publisher(topic)
            for slab in volume_to_slabs(volume, 3, ros.node.get_clock().now().to_msg()):
                publisher.publish(slab)

    def transform(self, parent: str, child: str, shift_m: Any, turn: Any) -> TransformStamped:
        told = TransformStamped(child_frame_id=child)
        told.header.frame_id, told.header.stamp = parent, self.ros.node.get_clock().now().to_msg()
        shift, rotation = told.transform.translation, told.transform.rotation
        shift.x, shift.y, shift.z = map(float, shift_m)
        rotation.x, rotation.y, rotation.z, rotation.w = map(float, turn)
        return told

    def _on_tf(self, message: TFMessage) -> None:
        for told in message.transforms:
            if told.child_frame_id == "ct_lps_slice_optical":
                assert told.header.frame_id == "ct_lps"
                self.planes[told.header.stamp.sec * 10**9 + told.header.stamp.nanosec] = told.transform

    def set(self, **values: object) -> None:
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        results = self.ros.call(
            SetParameters, "/slice_viewer/set_parameters", SetParameters.Request(parameters=parameters)
        ).results
        assert all(result.successful for result in results), results

    def pixel(self, image: Image, point_mm: Any) -> tuple[int, int, float]:
        """Row and column at which an LPS point is in a picture, and how far from its plane, by TF alone."""
        plane = self.planes[image.header.stamp.sec * 10**9 + image.header.stamp.nanosec]
        turn, shift = plane.rotation, plane.translation
        rotation = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w])
        x, y, off = rotation.inv().apply(np.array(point_mm) / 1000 - (shift.x, shift.y, shift.z))
        middle = np.array([image.height - 1, image.width - 1]) / 2
        row, column = np.rint(middle + np.array([y, x]) / PIXEL_M).astype(int)
        return int(row), int(column), float(off)

    def shown(self, says: Any) -> Image:
        """The first picture of which that is true."""

        def found() -> Image | None:
            known = (i for i in self.images if i.header.stamp.sec * 10**9 + i.header.stamp.nanosec in self.planes)
            return next((image for image in known if says(image)), None)

        self.ros.spin_until(lambda: found() is not None)
        return found()


def pixels(image: Image) -> np.ndarray:
    assert (image.encoding, image.step, image.header.frame_id) == ("rgb8", 3 * image.width, "ct_lps_slice_optical")
    return np.array(image.data).reshape(image.height, image.width, 3)


def holds(image: Image, color: tuple[int, int, int]) -> bool:
    return bool((pixels(image) == color).all(axis=-1).any())


def test_a_plane_through_the_lesion_a_clicked_point_and_the_needle(ros: Any, ct: Volume) -> None:
    viewer = Viewer(ros, ct)
    ros.start("slice_viewer", pixel_size_m=PIXEL_M, rate_hz=20.0)
    lesion_mm = np.array(lesion_target(viewer.labels))

    axial = viewer.shown(lambda image: holds(image, TUMOR.color_rgb))
    assert abs(viewer.pixel(axial, lesion_mm)[2]) < 1e-6
    # An axial picture is as wide as the CT's extent along the patient's left, whatever the grid's spacing and slant.
    corners = ct.geometry.index_to_lps([[i, j, k] for i in (-0.5, 59.5) for j in (-0.5, 51.5) for k in (-0.5, 39.5)])
    assert (axial.width, axial.height) == tuple(np.rint(np.ptp(corners, axis=0)[:2]))
    [along_x] = np.diff([viewer.pixel(axial, np.add(lesion_mm, (x, 0, 0)))[1] for x in (0, 30)])
    [along_y] = np.diff([viewer.pixel(axial, np.add(lesion_mm, (0, y, 0)))[0] for y in (0, 20)])
    assert (along_x, along_y) == (30, 20)  # the patient's left is on the right, the back is down

    # A click in the frame of the robot, on the rod of vessel, away from the lesion's middle.
    vessel_mm = ct.geometry.index_to_lps([44 / 2 + 5, 54 / 2.5, 62 / 3])
    viewer.set(view="sagittal")
    click = PointStamped()
    click.header.frame_id = "map"
    x, y, z = vessel_mm / 1000
    click.point.x, click.point.y, click.point.z = SHIFT_M[0] - x, SHIFT_M[1] - y, SHIFT_M[2] + z
    viewer.images.clear()
    ros.spin_until(lambda: ros.node.count_subscribers("clicked_point") > 0)
    ros.spin_for(0.2)
    viewer.clicks.publish(click)
    sagittal = viewer.shown(lambda image: abs(viewer.pixel(image, vessel_mm)[2]) < 1e-6)
    row, column, _ = viewer.pixel(sagittal, vessel_mm)
    blue = pixels(sagittal)[row, column].astype(int)
    assert blue[2] - blue[0] > 0.2 * (VESSEL.color_rgb[2] - VESSEL.color_rgb[0])

    # A needle that TF tells in `map`, pointing to the patient's back and feet.
    along = np.array([0.0, math.sqrt(0.75), -0.5])
    in_map = Rotation.from_quat([0.0, 0.0, 1.0, 0.0]).apply(along)
    turn = Rotation.align_vectors([in_map], [[0.0, 0.0, 1.0]])[0].as_quat()
    tip_in_map_m = SHIFT_M + lesion_mm * (-1, -1, 1) / 1000
    viewer.set(view="needle", needle_field_m=0.1)

    def told_and_shown(image: Image) -> bool:
        return holds(image, NEEDLE)

    def tell() -> None:
        viewer.tf.publish(TFMessage(transforms=[viewer.transform("map", "needle_tip", tip_in_map_m, turn)]))

    timer = ros.node.create_timer(0.05, tell)
    picture = viewer.shown(told_and_shown)
    assert (picture.width, picture.height) == (100, 100)
    for back_mm in (5.0, 20.0, 40.0):
        row, column, off_m = viewer.pixel(picture, lesion_mm - back_mm * along)
        assert abs(off_m) < 1e-6 and tuple(pixels(picture)[row, column]) == NEEDLE
    ros.node.destroy_timer(timer)
    viewer.images.clear()
    lost = viewer.shown(lambda image: holds(image, WARNING))
    assert not holds(lost, NEEDLE)
    ros.wait_for_line("/slice_viewer 1", "the needle's transform is")
