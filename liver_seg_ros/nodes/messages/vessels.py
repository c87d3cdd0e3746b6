# SPDX-License-Identifier: Apache-2.0
"""A `VesselTree` to `liver_seg_interfaces/msg/VesselTree` (for planners) and `MarkerArray` (for RViz), in metres."""

from __future__ import annotations

import colorsys
from array import array

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from liver_seg_interfaces.msg import VesselBranch as BranchMessage
from liver_seg_interfaces.msg import VesselTree as TreeMessage
from liver_seg_ros.geometry import MM_PER_M
from liver_seg_ros.nodes.messages.meshes import header
from liver_seg_ros.nodes.messages.points import mm_to_points
from liver_seg_ros.vessel_tree import VesselTree

LINE_WIDTH_M = 0.001

#: Hues of the trees, the largest first, far apart and none of them the liver's.
HUES = (0.60, 0.83, 0.50, 0.15, 0.33)

#: Lines lose this share of their color with each fork.
FADING = 0.05


def tree_to_message(tree: VesselTree, volume_uid: str, stamp: Time) -> TreeMessage:
    """All of the tree; empty arrays where there are no vessels."""
    message = TreeMessage(header=header(stamp), volume_uid=volume_uid, points=mm_to_points(tree.points_mm))
    message.radius_m = array("d", (tree.radius_mm / MM_PER_M).tolist())
    message.parent = array("i", tree.parent.tolist())
    message.branch = array("i", tree.branch.tolist())
    message.branches = [
        BranchMessage(
            parent=branch.parent,
            tree=branch.tree,
            generation=branch.generation,
            structure=branch.structure.name,
            label=branch.structure.value,
            length_m=branch.length_mm / MM_PER_M,
            radius_m=branch.radius_mm / MM_PER_M,
        )
        for branch in tree.branches
    ]
    return message


def tree_to_markers(tree: VesselTree, stamp: Time) -> MarkerArray:
    """One line list per tree, in a namespace of the structure's name: a color per tree, paler after each fork.

    The first marker removes those of an earlier volume.
    """
    markers = MarkerArray(markers=[Marker(header=header(stamp), action=Marker.DELETEALL)])
    points = mm_to_points(tree.points_mm)
    tree_of_branch = np.array([branch.tree for branch in tree.branches], np.int64)
    edges = tree.edges
    tree_of_edge = tree_of_branch[tree.branch[edges[:, 1]]]
    colors = [_color(branch.tree, branch.generation) for branch in tree.branches]
    for trunk in (branch for branch in tree.branches if branch.parent < 0):
        marker = Marker(header=header(stamp), ns=trunk.structure.name, id=trunk.tree)
        marker.type = Marker.LINE_LIST
        marker.action = Marker.ADD
        marker.pose.orientation.w = 1.0
        marker.scale.x = LINE_WIDTH_M
        marker.frame_locked = True  # follows ct_lps when a registration moves it
        own = edges[tree_of_edge == trunk.tree]
        marker.points = [points[node] for node in own.reshape(-1).tolist()]
        marker.color = colors[trunk.number]
        marker.colors = [colors[branch] for branch in np.repeat(tree.branch[own[:, 1]], 2).tolist()]
        markers.markers.append(marker)
    return markers


def _color(tree: int, generation: int) -> ColorRGBA:
    red, green, blue = colorsys.hsv_to_rgb(HUES[tree % len(HUES)], max(0.25, 1.0 - FADING * generation), 1.0)
    return ColorRGBA(r=red, g=green, b=blue, a=1.0)
