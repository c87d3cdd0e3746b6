# SPDX-License-Identifier: Apache-2.0
"""Occupied cells to `octomap_msgs/Octomap`. Needs octomap_msgs."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray
from octomap_msgs.msg import Octomap
from std_msgs.msg import Header

from liver_seg_ros.reconstruction.octree import octree_bytes


def cells_to_octomap(cells: NDArray[np.int64], resolution_m: float, header: Header) -> Octomap:
    """A binary map of these cells `(N, 3)`: occupied or not known, as `octomap_msgs::binaryMsgToMap` reads it.

    Raises `InputError` for cells that are too far from the origin.
    """
    data = array("b", octree_bytes(cells))
    return Octomap(header=header, binary=True, id="OcTree", resolution=resolution_m, data=data)
