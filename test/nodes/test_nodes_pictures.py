# SPDX-License-Identifier: Apache-2.0
"""Pictures as `sensor_msgs/Image`: by cv_bridge and without, the same bytes; and where they are."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sensor_msgs.msg", reason="ROS 2's sensor_msgs is not installed (make setup installs it)")

from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from liver_seg_ros.nodes.messages.pictures import filled, picture_to_message, plane_to_transform
from liver_seg_ros.rendering.picture_plane import plane_along

PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
HEADER = Header(frame_id="ct_lps_slice_optical")


def test_a_message_holds_the_picture_row_by_row_red_first():
    message = filled(PICTURE, HEADER)
    assert (message.height, message.width, message.encoding, message.is_bigendian) == (5, 7, "rgb8", 0)
    assert message.header.frame_id == "ct_lps_slice_optical"
    for v, u in ((0, 0), (4, 6), (2, 3)):
        at = v * message.step + 3 * u
        assert list(message.data[at : at + 3]) == PICTURE[v, u].tolist()
    assert len(message.data) == 5 * message.step == 105
    assert picture_to_message(PICTURE, HEADER) == message


def test_cv_bridge_makes_the_same_message():
    bridge = pytest.importorskip(
        "cv_bridge", reason="cv_bridge has a compiled part and is not on PyPI: the two ways were not compared"
    )
    made = bridge.CvBridge().cv2_to_imgmsg(PICTURE, "rgb8", HEADER)
    assert made == filled(PICTURE, HEADER)
    np.testing.assert_array_equal(bridge.CvBridge().imgmsg_to_cv2(made), PICTURE)


def test_pixels_are_where_the_transform_says():
    plane = plane_along((10.0, -20.0, 900.0), (0.3, 0.8, -0.2), 0.8, 120.0)
    told = plane_to_transform(plane, Header(frame_id="ct_lps"), "ct_lps_slice_optical").transform
    turn = Rotation.from_quat([told.rotation.x, told.rotation.y, told.rotation.z, told.rotation.w])
    shift = (told.translation.x, told.translation.y, told.translation.z)
    for row, column in ((0, 0), (plane.height - 1, 4)):
        in_frame_m = 0.0008 * np.array([column - (plane.width - 1) / 2, row - (plane.height - 1) / 2, 0])
        np.testing.assert_allclose(1000 * (turn.apply(in_frame_m) + shift), plane.points_mm()[row, column], atol=1e-9)
