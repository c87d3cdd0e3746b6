# SPDX-License-Identifier: Apache-2.0
"""Several nodes in one process: volumes go from one to the next by reference, and every topic is published for others.

liver_seg [--ros-args ...]       segments what comes on the topic `ct`
liver_seg CT [--ros-args ...]    reads the CT itself: no volume crosses DDS on its way to the meshes

Before `--ros-args`, the name of each further node that is wanted: `--planner --needle_guard --slice_viewer
--planning_scene --registration --dicom_receiver`. `registration` then says where the CT's frame is; `dicom_receiver`
hands what it receives to the segmentation, which takes no other CT then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from rclpy.parameter import Parameter

from liver_seg_ros.errors import InputError
from liver_seg_ros.nodes.ct_source import CtSource
from liver_seg_ros.nodes.process import run
from liver_seg_ros.nodes.reconstruction import ReconstructionNode
from liver_seg_ros.nodes.segmentation import SegmentationNode
from liver_seg_ros.nodes.stage_node import StageNode

_REGISTRATION, _RECEIVER = "--registration", "--dicom_receiver"
#: Option to the module and class of the node; imported where it is wanted.
_FURTHER = {
    _REGISTRATION: ("registration", "RegistrationNode"),
    "--planner": ("planner", "PlannerNode"),
    "--needle_guard": ("needle_guard", "NeedleGuard"),
    "--slice_viewer": ("slice_viewer", "SliceViewer"),
    "--planning_scene": ("planning_scene", "PlanningSceneNode"),
}


def make_nodes(arguments: Sequence[str]) -> Sequence[StageNode]:
    """The nodes, the last in the chain first, so that each is ready when the one before begins.

    Args:
        arguments: the path of the CT or nothing, and the options of further nodes.

    Raises:
        InputError: an option that is none.
    """
    wanted = [argument for argument in arguments if argument.startswith("--")]
    unknown = [option for option in wanted if option not in (*_FURTHER, _RECEIVER)]
    if unknown:
        raise InputError(f"{unknown[0]} is no option; give any of: {' '.join((*_FURTHER, _RECEIVER))}")
    path = next((argument for argument in arguments if argument not in wanted), "")
    # One node says where the CT's frame is; both have a parameter of that name, which a command line gives to both.
    left_to_others = [Parameter("parent_frame", value="")] if _REGISTRATION in wanted else []
    receives = _RECEIVER in wanted
    if receives and path:
        raise InputError(f"{path} and {_RECEIVER} would both publish the CT; give one of them")
    reconstruction = ReconstructionNode(subscribe=False, parameter_overrides=left_to_others)
    segmentation = SegmentationNode(subscribe=not (path or receives), deliver=reconstruction.accept)
    nodes = [*(_node(option)() for option in _FURTHER if option in wanted), reconstruction, segmentation]
    if receives:
        from liver_seg_ros.nodes.dicom_receiver import DicomReceiver

        nodes.append(DicomReceiver(deliver=segmentation.accept))
    if path:
        nodes.append(CtSource(deliver=segmentation.accept, parameter_overrides=[Parameter("path", value=path)]))
    return nodes


def _node(option: str) -> Callable[[], StageNode]:
    module, name = _FURTHER[option]
    made: Callable[[], StageNode] = getattr(import_module(f"liver_seg_ros.nodes.{module}"), name)
    return made


def main() -> None:
    """Run the nodes until SIGINT or SIGTERM."""
    # A registration is computed in the executor: what is asked of every node goes on in another of its threads.
    run(make_nodes, threads=2 if _REGISTRATION in sys.argv else 1)


if __name__ == "__main__":
    main()
