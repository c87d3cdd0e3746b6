# SPDX-License-Identifier: Apache-2.0
"""Everything at once, to look at: a CT, its liver, a planner, and a needle that moves into a vessel and is stopped.

    ros2 launch liver_seg_ros demo.launch.py               # a synthetic patient, made the first time; RViz where it is
    ros2 launch liver_seg_ros demo.launch.py path:=ct.nii.gz

The needle is `examples/moving_needle.py`: on its way the guard says OK, WARN and STOP. Other arguments are those of
liver_seg.launch.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PACKAGE = "liver_seg_ros"
#: Small enough to be segmented within a minute on two cores.
PHANTOM = ["--seed", "10022", "--size", "192,192,130", "--spacing-mm", "1.8,1.8,2.3", "--phase", "portal_venous"]
#: What the demo asks of liver_seg.launch.py unless told otherwise.
SWITCHED_ON = {
    "planner": ("true", "answer questions, as the needle's script asks one"),
    "guard": ("true", "watch the needle"),
    "viewer": ("true", "pictures of the plane of the needle, on the topic slice_viewer/image"),
    "rviz": ("auto", "start RViz with this package's view; 'auto': where it is installed"),
}


def generate_launch_description() -> LaunchDescription:
    """The nodes of liver_seg.launch.py with planner, guard and viewer, a patient for them, and a needle."""
    share = Path(get_package_share_directory(PACKAGE))
    arguments = [
        DeclareLaunchArgument(
            "phantom_dir",
            default_value=str(Path("~/.cache/liver_seg_ros/demo").expanduser()),
            description="folder of the synthetic patient, which is made there once; not used with path",
        ),
        DeclareLaunchArgument("speed_m_s", default_value="0.005", description="how fast the needle moves"),
        DeclareLaunchArgument(
            "params_file",
            default_value=str(share / "config" / "demo.yaml"),
            description="YAML file with parameters of any of the nodes",
        ),
        *(
            DeclareLaunchArgument(name, default_value=default, description=description)
            for name, (default, description) in SWITCHED_ON.items()
        ),
    ]
    nodes = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(share / "launch" / "liver_seg.launch.py")))
    return LaunchDescription([*arguments, nodes, OpaqueFunction(function=_patient_and_needle, args=[share])])


def _patient_and_needle(context: LaunchContext, share: Path) -> list[ExecuteProcess | Node]:
    value = {name: context.perform_substitution(LaunchConfiguration(name)) for name in context.launch_configurations}
    namespace = value["namespace"]
    needle = ExecuteProcess(
        cmd=[
            sys.executable, str(share / "examples" / "moving_needle.py"), "--speed", value["speed_m_s"],
            "--ros-args", "-r", f"__ns:=/{namespace.strip('/')}",
        ],
        output="screen",
    )  # fmt: skip
    if value["path"]:
        return [needle]
    folder = Path(value["phantom_dir"]).expanduser()
    source = Node(
        package=PACKAGE,
        executable="ct_source",
        namespace=namespace,
        parameters=[str(share / "config" / "ct_source.yaml"), {"path": str(folder / "ct.nii.gz")}],
        output="screen",
    )
    if (folder / "ct.nii.gz").is_file():
        return [source, needle]
    command = Path(get_package_prefix(PACKAGE)) / "lib" / PACKAGE / "liver-seg"
    make = ExecuteProcess(
        cmd=[str(command), "phantom", "-q", "-o", str(folder), *PHANTOM], on_exit=[source], output="screen"
    )
    return [make, needle]
