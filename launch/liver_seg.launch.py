"""From a CT, on the topic `ct` or from a file, to labels, meshes and clouds.

    ros2 launch liver_seg_ros liver_seg.launch.py [path:=CT] [rviz:=true]

Every argument is described by `--show-args`; parameters that have none here are in config/*.yaml.
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
SHARED_MEMORY_BYTES = 2_000_000_000
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
            "registration",
            default_value="false",
            choices=["true", "false"],
            description="find where the patient is by landmarks and surface, and move ct_lps there",
        ),
        DeclareLaunchArgument(
            "rviz", default_value="false", choices=["true", "false"], description="start RViz with this package's view"
        ),
        DeclareLaunchArgument("namespace", default_value="", description="namespace of all nodes and topics"),
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
        "ct_source": {"path": path},
        "segmentation": {
            "models_dir": value["models"],
            "runtime": value["runtime"],
            "precision": value["precision"],
        },
        # One node says where ct_lps is.
        "reconstruction": {"parent_frame": "" if registers else parent_frame},
        **({"registration": {"parent_frame": parent_frame}} if registers else {}),
    }

    def node(executable: str, names: list[str], arguments: list[str]) -> Node:
        files = [str(share / "config" / f"{name}.yaml") for name in names]
        # In the composed process every node sees every value and takes those that it declares.
        values = {key: entry for name in names for key, entry in parameters.get(name, {}).items()}
        return Node(
            package=PACKAGE,
            executable=executable,
            namespace=value["namespace"],
            parameters=[*files, values],
            arguments=arguments,
            output="screen",
        )

    first = [_rviz(share, value["namespace"])] if value["rviz"] == "true" else []
    first += [
        node(name, [name], [])
        for name, wanted in (("planner", "planner"), ("needle_guard", "guard"), ("slice_viewer", "viewer"))
        if value[wanted] == "true"
    ]
    if value["composed"] == "true":
        arguments = [*([path] if path else []), *(["--registration"] if registers else [])]
        return [*first, node("liver_seg", list(parameters), arguments)]
    return [*first, *(node(name, [name], []) for name in parameters if path or name != "ct_source")]


def _rviz(share: Path, namespace: str) -> Node:
    """The layout's topics are relative, so they are those of the namespace; its frame has to be said."""
    try:
        get_package_prefix(RVIZ)
    except PackageNotFoundError:
        raise RuntimeError(
            f"rviz:=true, but there is no package {RVIZ}: install it (ros-<distribution>-{RVIZ}) or leave rviz out"
        ) from None
    layout = ["-d", str(share / "rviz" / "liver_seg.rviz")]
    frame = ["-f", f"{namespace.strip('/')}/ct_lps"] if namespace.strip("/") else []
    return Node(package=RVIZ, executable=RVIZ, namespace=namespace, arguments=[*layout, *frame])


def _large_shared_memory(share: Path) -> list[SetEnvironmentVariable]:
    """Use the profile in config/ where the user has none of their own and shared memory has room for it."""
    shared_memory = Path("/dev/shm")
    if any(name in os.environ for name in PROFILE_VARIABLES) or not shared_memory.is_dir():
        return []
    if shutil.disk_usage(shared_memory).free < SHARED_MEMORY_BYTES:
        return []
    profile = str(share / "config" / "fastdds_shm.xml")
    return [SetEnvironmentVariable(name, profile) for name in PROFILE_VARIABLES]
