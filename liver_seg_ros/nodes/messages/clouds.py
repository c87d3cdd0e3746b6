# SPDX-License-Identifier: Apache-2.0
"""`PointCloud` and `ClearanceCloud` to `sensor_msgs/msg/PointCloud2`, in metres."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField

from liver_seg_ros.geometry import MM_PER_M, lps_to_ros
from liver_seg_ros.labels import STRUCTURES
from liver_seg_ros.mesh import PointCloud
from liver_seg_ros.nodes.messages.meshes import header
from liver_seg_ros.reconstruction.meshes.clearance_cloud import ClearanceCloud

#: Names as in PCL: PointXYZ, Normal, the packed color that RViz shows, and the label of PointXYZL.
_FLOATS = ("x", "y", "z", "normal_x", "normal_y", "normal_z", "rgb")
_POINT = np.dtype([*((name, "<f4") for name in _FLOATS), ("label", "<u4")])
_CLEARANCE_POINT = np.dtype([(name, "<f4") for name in ("x", "y", "z", "rgb", "clearance")])
_DATATYPES = {"<f4": PointField.FLOAT32, "<u4": PointField.UINT32}

#: Colors of clearances, which change evenly in between: red up to contact, green from the last one on.
_CLEARANCE_MM = (0.0, 10.0, 20.0)
_CLEARANCE_RGB = ((230, 30, 30), (240, 220, 60), (60, 170, 80))


def cloud_to_message(cloud: PointCloud, stamp: Time) -> PointCloud2:
    """Fields x, y, z (m), normal_x, normal_y, normal_z, rgb (float32, packed) and label (uint32)."""
    points = np.empty(len(cloud.points_mm), dtype=_POINT)
    positions_m = lps_to_ros(cloud.points_mm)
    for axis, name in enumerate("xyz"):
        points[name] = positions_m[:, axis]
        points[f"normal_{name}"] = cloud.normals[:, axis]
    colors = np.zeros((256, 3), np.uint32)
    for structure in STRUCTURES:
        colors[structure.value] = structure.color_rgb
    points["rgb"] = _packed(colors)[cloud.labels]
    points["label"] = cloud.labels
    return _message(points, stamp)


def clearance_to_message(cloud: ClearanceCloud, stamp: Time) -> PointCloud2:
    """Fields x, y, z (m), rgb (float32, packed: red is near, green from 2 cm on) and clearance (m)."""
    points = np.empty(len(cloud.points_mm), dtype=_CLEARANCE_POINT)
    positions_m = lps_to_ros(cloud.points_mm)
    for axis, name in enumerate("xyz"):
        points[name] = positions_m[:, axis]
    channels = [np.interp(cloud.clearance_mm, _CLEARANCE_MM, channel) for channel in zip(*_CLEARANCE_RGB, strict=True)]
    points["rgb"] = _packed(np.stack(channels, axis=1).astype(np.uint32))
    points["clearance"] = cloud.clearance_mm / MM_PER_M
    return _message(points, stamp)


def _message(points: NDArray[np.void], stamp: Time) -> PointCloud2:
    """A structured array `(N,)` as a message with the same fields."""
    fields = [
        PointField(name=name, offset=4 * position, datatype=_DATATYPES[kind], count=1)
        for position, (name, kind, *_) in enumerate(points.dtype.descr)
    ]
    message = PointCloud2(header=header(stamp), height=1, width=len(points), fields=fields)
    message.is_bigendian = False
    message.is_dense = True
    message.point_step = points.itemsize
    message.row_step = points.nbytes
    message._data = points.view(np.uint8).data  # the setter would copy and check byte by byte
    return message


def _packed(colors: NDArray[np.uint32]) -> NDArray[np.float32]:
    """`(N,)`: colors `(N, 3)` of 0 to 255, red, green and blue in the bits of a float32 as PCL packs them."""
    return (colors[:, 0] << 16 | colors[:, 1] << 8 | colors[:, 2]).astype(np.uint32).view(np.float32)
