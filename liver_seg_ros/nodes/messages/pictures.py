# SPDX-License-Identifier: Apache-2.0
"""Pictures to `sensor_msgs/Image`, and where they are to a transform."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from liver_seg_ros.geometry import lps_to_ros
from liver_seg_ros.rendering.picture_plane import PicturePlane

ENCODING = "rgb8"


def picture_to_message(picture: NDArray[np.uint8], header: Header) -> Image:
    """`(height, width, 3)` RGB as a message: by cv_bridge where it is installed, else filled as cv_bridge does."""
    try:
        from cv_bridge import CvBridge
    except ImportError:  # not on PyPI
        return filled(picture, header)
    made: Any = CvBridge().cv2_to_imgmsg(picture, ENCODING, header)
    return made


def filled(picture: NDArray[np.uint8], header: Header) -> Image:
    """The same without cv_bridge."""
    height, width, channels = picture.shape
    return Image(
        header=header,
        height=height,
        width=width,
        encoding=ENCODING,
        step=width * channels,
        data=array.array("B", picture.tobytes()),
    )


def plane_to_transform(plane: PicturePlane, header: Header, child_frame_id: str) -> TransformStamped:
    """Where a picture is: origin in its middle, x to its right, y down, z into it, as in REP-103's optical frames.

    `header.frame_id` is that of the CT's axes.
    """
    moved = TransformStamped(header=header, child_frame_id=child_frame_id)
    shift, turn = moved.transform.translation, moved.transform.rotation
    shift.x, shift.y, shift.z = lps_to_ros(plane.center_mm).tolist()
    matrix = np.column_stack([plane.right, plane.down, plane.normal])
    turn.x, turn.y, turn.z, turn.w = Rotation.from_matrix(matrix).as_quat().tolist()
    return moved
