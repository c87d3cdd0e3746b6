"""`PointCloud` to `sensor_msgs/msg/PointCloud2`, in metres."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField

from liver_seg_ros.geometry import lps_to_ros
from liver_seg_ros.labels import STRUCTURES
from liver_seg_ros.mesh import PointCloud
from liver_seg_ros.nodes.mesh_messages import header

#: Names as in PCL: PointXYZ, Normal, the packed color that RViz shows, and the label of PointXYZL.
_FLOATS = ("x", "y", "z", "normal_x", "normal_y", "normal_z", "rgb")
_LAYOUT = [*((name, "<f4") for name in _FLOATS), ("label", "<u4")]
_POINT = np.dtype(_LAYOUT)
_DATATYPES = {"<f4": PointField.FLOAT32, "<u4": PointField.UINT32}


def cloud_to_message(cloud: PointCloud, stamp: Time) -> PointCloud2:
    """Fields x, y, z (m), normal_x, normal_y, normal_z, rgb (float32, packed) and label (uint32)."""
    points = np.empty(len(cloud.points_mm), dtype=_POINT)
    positions_m = lps_to_ros(cloud.points_mm)
    for axis, name in enumerate("xyz"):
        points[name] = positions_m[:, axis]
        points[f"normal_{name}"] = cloud.normals[:, axis]
    points["rgb"] = _packed_colors()[cloud.labels]
    points["label"] = cloud.labels
    fields = [
        PointField(name=name, offset=4 * position, datatype=_DATATYPES[kind], count=1)
        for position, (name, kind) in enumerate(_LAYOUT)
    ]
    message = PointCloud2(header=header(stamp), height=1, width=len(points), fields=fields)
    message.is_bigendian = False
    message.is_dense = True
    message.point_step = _POINT.itemsize
    message.row_step = points.nbytes
    message._data = points.view(np.uint8).data  # the setter would copy and check byte by byte
    return message


def _packed_colors() -> NDArray[np.float32]:
    """(256,): color of each label value, red, green and blue in the bits of a float32 as PCL packs them."""
    packed = np.zeros(256, dtype=np.uint32)
    for structure in STRUCTURES:
        red, green, blue = structure.color_rgb
        packed[structure.value] = red << 16 | green << 8 | blue
    return packed.view(np.float32)
