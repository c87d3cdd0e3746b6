# SPDX-License-Identifier: Apache-2.0
"""From a CT, on the topic `ct` or from a file, to labels, meshes and clouds.

    ros2 launch liver_seg_ros liver_seg.launch.py [path:=CT] [rviz:=true]

Every argument is described by `--show-args`; parameters that have none here are in config/*.yaml. What counts is, from
the weakest on: config/*.yaml, params_file, and arguments that were given another value than their default.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PACKAGE = "liver_seg_ros"
RVIZ = "rviz2"
#: What `ros2 launch` can be given for an empty name: it refuses `name:=`.
NONE = "none"
#: Nodes that have processes of their own, and the arguments that ask for them.
_ON_REQUEST = {
    "planner": "planner",
    "needle_guard": "guard",
    "slice_viewer": "viewer",
    "planning_scene": "scene",
    "igtl_bridge": "igtl",
}
SHARED_MEMORY_BYTES = 2_000_000_000
#: Arguments that are parameters of a node, and their defaults, with which they leave what the files say.
PARAMETERS = {
    "ct_source": {"path": ("path", "")},
    "segmentation": {
        "models": ("models_dir", ""),
        "runtime": ("runtime", "auto"),
        "precision": ("precision", "auto"),
        "cache_dir": ("cache_dir", ""),
    },
    "reconstruction": {"parent_frame": ("parent_frame", "map")},
}
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def generate_launch_description() -> LaunchDescription:
    """The nodes of liver_seg_ros, in one process or in three, and RViz where asked for."""
    share = Path(get_package_share_directory(PACKAGE))
    arguments = [
        DeclareLaunchArgument(
            "path", default_value="", description="CT file or DICOM folder; empty: the CT comes on the topic 'ct'"
        ),
        DeclareLaunchArgument(
            "models", default_value="", description="folder with localizer/ and segmenter/; empty: the models shipped"
        ),
        DeclareLaunchArgument(
            "runtime", default_value="auto", description="what runs the networks; 'auto': the fastest"
        ),
        DeclareLaunchArgument(
            "precision", default_value="auto", description="fp32, fp16 or int8; 'auto': the runtime's best"
        ),
        DeclareLaunchArgument(
            "parent_frame",
            default_value="map",
            description=f"frame that ct_lps hangs below; {NONE}: something else publishes it",
        ),
        DeclareLaunchArgument(
            "composed",
            default_value="true",
            choices=["true", "false"],
            description="one process that hands volumes on by reference, or one process per node",
        ),
        DeclareLaunchArgument(
            "planner",
            default_value="false",
            choices=["true", "false"],
            description="answer questions about needles, ablations and resections, in a process of its own",
        ),
        DeclareLaunchArgument(
            "guard",
            default_value="false",
            choices=["true", "false"],
            description="watch a needle whose tip TF tells, in a process of its own; see config/needle_guard.yaml",
        ),
        DeclareLaunchArgument(
            "viewer",
            default_value="false",
            choices=["true", "false"],
            description="pictures of slices on a topic, in a process of its own; see config/slice_viewer.yaml",
        ),
        DeclareLaunchArgument(
            "scene",
            default_value="false",
            choices=["true", "false"],
            description="collision objects for MoveIt and an octomap, in a process of its own; needs moveit_msgs",
        ),
        DeclareLaunchArgument(
            "igtl",
            default_value="false",
            choices=["true", "false"],
            description="serve 3D Slicer over OpenIGTLink, in a process of its own; see config/igtl_bridge.yaml",
        ),
        DeclareLaunchArgument(
            "dicom",
            default_value="",
            description="spool folder: receive CTs over DICOM, in a process of its own; see config/dicom_receiver.yaml",
        ),
        DeclareLaunchArgument(
            "registration",
            default_value="false",
            choices=["true", "false"],
            description="find where the patient is by landmarks and surface, and move ct_lps there",
        ),
        DeclareLaunchArgument(
            "rviz",
            default_value="false",
            choices=["true", "false", "auto"],
            description="start RViz with this package's view; 'auto': where it is installed",
        ),
        DeclareLaunchArgument("namespace", default_value="", description="namespace of all nodes and topics"),
        DeclareLaunchArgument(
            "params_file", default_value="", description="YAML file with parameters of any of the nodes"
        ),
        DeclareLaunchArgument(
            "cache_dir",
            default_value="",
            description="where TensorRT's engines are kept; empty: $LIVER_SEG_CACHE, else ~/.cache/liver_seg_ros",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            choices=["debug", "info", "warn", "error", "fatal"],
            description="what the nodes log at least",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=["true", "false"],
            description="take the time from the topic /clock, as a simulation or a bag publishes it",
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="true",
            choices=["true", "false"],
            description="configure and activate the nodes; 'false' leaves that to a lifecycle manager",
        ),
    ]
    nodes = OpaqueFunction(function=_nodes, args=[share])
    return LaunchDescription([*arguments, *_large_shared_memory(share), nodes])


def _nodes(context: LaunchContext, share: Path) -> list[Node]:
    """Decided when the arguments' values are known, because a CT's path also decides which nodes there are.

    RViz comes first: where launch cannot start a thing it ends, and leaves running what it started before.
    """
    value = {name: context.perform_substitution(LaunchConfiguration(name)) for name in context.launch_configurations}
    path, registers = value["path"], value["registration"] == "true"
    parent_frame = "" if value["parent_frame"] == NONE else value["parent_frame"]
    if registers and not parent_frame:
        raise RuntimeError(
            f"registration:=true moves ct_lps, and parent_frame:={NONE} leaves that to others: give one of them"
        )
    parameters = {
        name: {
            parameter: value[argument]
            for argument, (parameter, default) in arguments.items()
            if value[argument] != default
        }
        for name, arguments in PARAMETERS.items()
    }
    if registers or not parent_frame:  # one node says where ct_lps is
        parameters["reconstruction"]["parent_frame"] = ""
    if registers:
        parameters["registration"] = {"parent_frame": parent_frame}
    if value["dicom"] and path:
        raise RuntimeError("path:= and dicom:= would both publish the CT: give one of them")
    received = {"dicom_receiver": {"spool": value["dicom"]}} if value["dicom"] else {}
    time = {"use_sim_time": True} if value["use_sim_time"] == "true" else {}
    of_all = time | ({"autostart": False} if value["autostart"] == "false" else {})
    own_file = _existing(value["params_file"])

    def node(executable: str, names: list[str], arguments: list[str]) -> Node:
        files = [str(share / "config" / f"{name}.yaml") for name in names]
        # In the composed process every node sees every value and takes those that it declares.
        values = {key: entry for name in names for key, entry in (parameters | received).get(name, {}).items()} | of_all
        return Node(
            package=PACKAGE,
            executable=executable,
            namespace=value["namespace"],
            parameters=[*files, *own_file, *([values] if values else [])],
            arguments=arguments,
            ros_arguments=["--log-level", value["log_level"]],
            output="screen",
        )

    rviz = value["rviz"] == "true" or (value["rviz"] == "auto" and _is_there(RVIZ))
    first = [_rviz(share, value["namespace"], [time] if time else [])] if rviz else []
    first += [node(name, [name], []) for name, argument in _ON_REQUEST.items() if value[argument] == "true"]
    first += [node(name, [name], []) for name in received]
    if value["composed"] == "true":
        arguments = [*([path] if path else []), *(["--registration"] if registers else [])]
        return [*first, node("liver_seg", list(parameters), arguments)]
    return [*first, *(node(name, [name], []) for name in parameters if path or name != "ct_source")]


def _existing(params_file: str) -> list[str]:
    if params_file and not Path(params_file).expanduser().is_file():
        raise RuntimeError(f"params_file:={params_file}, but there is no such file")
    return [str(Path(params_file).expanduser())] if params_file else []


def _rviz(share: Path, namespace: str, time: list[dict[str, bool]]) -> Node:
    """The layout's topics are relative, so they are those of the namespace; its frame has to be said."""
    if not _is_there(RVIZ):
        raise RuntimeError(
            f"rviz:=true, but there is no package {RVIZ}: install it (ros-<distribution>-{RVIZ}) or leave rviz out"
        )
    layout = ["-d", str(share / "rviz" / "liver_seg.rviz")]
    frame = ["-f", f"{namespace.strip('/')}/ct_lps"] if namespace.strip("/") else []
    return Node(package=RVIZ, executable=RVIZ, namespace=namespace, parameters=time, arguments=[*layout, *frame])


def _is_there(package: str) -> bool:
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def _large_shared_memory(share: Path) -> list[SetEnvironmentVariable]:
    """Use the profile in config/ where the user has none of their own and shared memory has room for it."""
    shared_memory = Path("/dev/shm")  # noqa: S108  only looked at
    if any(name in os.environ for name in PROFILE_VARIABLES) or not shared_memory.is_dir():
        return []
    if shutil.disk_usage(shared_memory).free < SHARED_MEMORY_BYTES:
        return []
    profile = str(share / "config" / "fastdds_shm.xml")
    return [SetEnvironmentVariable(name, profile) for name in PROFILE_VARIABLES]
