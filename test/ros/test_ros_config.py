# SPDX-License-Identifier: Apache-2.0
"""config/*.yaml: every parameter of every node is there, and nothing else; each is described."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

CONFIG = Path(__file__).resolve().parents[2] / "config"
ROS_OWN = {"use_sim_time", "start_type_description_service"}


@pytest.mark.parametrize(
    "name",
    [
        "ct_source", "segmentation", "reconstruction", "needle_guard", "planner", "slice_viewer", "registration",
        "planning_scene", "igtl_bridge", "dicom_receiver",
    ],
)  # fmt: skip
def test_the_file_holds_the_nodes_parameters_and_defaults(ros, name):
    from liver_seg_ros.nodes.ct_source import CtSource
    from liver_seg_ros.nodes.dicom_receiver import DicomReceiver
    from liver_seg_ros.nodes.igtl_bridge import IgtlBridge
    from liver_seg_ros.nodes.needle_guard import NeedleGuard
    from liver_seg_ros.nodes.planner import PlannerNode
    from liver_seg_ros.nodes.planning_scene import PlanningSceneNode
    from liver_seg_ros.nodes.reconstruction import ReconstructionNode
    from liver_seg_ros.nodes.registration import RegistrationNode
    from liver_seg_ros.nodes.segmentation import SegmentationNode
    from liver_seg_ros.nodes.slice_viewer import SliceViewer

    kind = {
        "ct_source": CtSource,
        "segmentation": SegmentationNode,
        "reconstruction": ReconstructionNode,
        "needle_guard": NeedleGuard,
        "planner": PlannerNode,
        "slice_viewer": SliceViewer,
        "planning_scene": PlanningSceneNode,
        "registration": RegistrationNode,
        "igtl_bridge": IgtlBridge,
        "dicom_receiver": DicomReceiver,
    }[name]
    node = kind(context=ros.context)
    try:
        declared = {key: node.get_parameter(key).value for key in node.get_parameters_by_prefix("")}
        declared = {key: value for key, value in declared.items() if key not in ROS_OWN and "." not in key}
        in_file = yaml.safe_load((CONFIG / f"{name}.yaml").read_text())["/**"][name]["ros__parameters"]
        # The file starts the node, which an unconfigured one leaves to a lifecycle manager.
        assert in_file.pop("autostart") is True
        assert declared.pop("autostart") is False
        assert in_file == {key: list(value) if hasattr(value, "tolist") else value for key, value in declared.items()}
        assert all(node.describe_parameter(key).description for key in declared)
    finally:
        assert node.worker.stop(5.0)
        node.destroy_node()
