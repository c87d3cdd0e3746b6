# SPDX-License-Identifier: Apache-2.0
"""All nodes in one process: volumes go from one to the next by reference, and every topic is published for others.

liver_seg [--ros-args ...]       segments what comes on the topic `ct`
liver_seg CT [--ros-args ...]    reads the CT itself: no volume crosses DDS on its way to the meshes

Before `--ros-args`, `--registration` adds the node `registration`, which then says where the CT's frame is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rclpy.parameter import Parameter

from liver_seg_ros.nodes.ct_source import CtSource
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.reconstruction import ReconstructionNode
from liver_seg_ros.nodes.registration import THREADS, RegistrationNode
from liver_seg_ros.nodes.segmentation import SegmentationNode
from liver_seg_ros.nodes.stage_node import StageNode

REGISTRATION = "--registration"


def make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    """The nodes, the last in the chain first, so that each is ready when the one before begins.

    Args:
        arguments: the path of the CT or nothing, and `REGISTRATION` where that node is wanted.
    """
    registers = REGISTRATION in arguments
    path = next((argument for argument in arguments if argument != REGISTRATION), "")
    # One node says where the CT's frame is; both have a parameter of that name, which a command line gives to both.
    left_to_others = [Parameter("parent_frame", value="")] if registers else []
    reconstruction = ReconstructionNode(subscribe=False, parameter_overrides=left_to_others)
    segmentation = SegmentationNode(subscribe=not path, deliver=reconstruction.accept)
    others = [RegistrationNode()] if registers else []
    if not path:
        return [*others, reconstruction, segmentation]
    source = CtSource(deliver=segmentation.accept, parameter_overrides=[Parameter("path", value=path)])
    return [*others, reconstruction, segmentation, source]


def main() -> None:
    """Run the nodes until SIGINT or SIGTERM."""
    run(make_nodes, threads=THREADS if REGISTRATION in sys.argv else 1)


if __name__ == "__main__":
    main()
