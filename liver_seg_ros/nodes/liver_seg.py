"""All nodes in one process: volumes go from one to the next by reference, and every topic is published for others.

liver_seg [--ros-args ...]       segments what comes on the topic `ct`
liver_seg CT [--ros-args ...]    reads the CT itself: no volume crosses DDS on its way to the meshes
"""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.parameter import Parameter

from liver_seg_ros.nodes.ct_source import CtSource
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.reconstruction import ReconstructionNode
from liver_seg_ros.nodes.segmentation import SegmentationNode
from liver_seg_ros.nodes.stage_node import StageNode


def make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    """The nodes, the last in the chain first, so that each is ready when the one before begins.

    Args:
        arguments: nothing, or the path of the CT.
    """
    path = arguments[0] if arguments else ""
    reconstruction = ReconstructionNode(subscribe=False)
    segmentation = SegmentationNode(subscribe=not path, deliver=reconstruction.accept)
    if not path:
        return [reconstruction, segmentation]
    source = CtSource(deliver=segmentation.accept, parameter_overrides=[Parameter("path", value=path)])
    return [reconstruction, segmentation, source]


def main() -> None:
    """Run the nodes until SIGINT or SIGTERM."""
    run(make_nodes)


if __name__ == "__main__":
    main()
