# SPDX-License-Identifier: Apache-2.0
"""A recorded bag into the nodes, as if its CT came from the scanner now.

    ros2 launch liver_seg_ros bag.launch.py bag:=FOLDER [guard:=true] [rviz:=true]

By `ros2 bag play` where ROS 2 is installed, else by `liver-seg replay`. Other arguments are those of
liver_seg.launch.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

PACKAGE = "liver_seg_ros"
ROS2, OWN = "ros2", "liver-seg"


def generate_launch_description() -> LaunchDescription:
    """The nodes of liver_seg.launch.py, and what plays the bag."""
    share = Path(get_package_share_directory(PACKAGE))
    arguments = [
        DeclareLaunchArgument("bag", description="folder of the bag (rosbag2, MCAP or SQLite)"),
        DeclareLaunchArgument(
            "topics",
            default_value="/ct,/tf,/tf_static,/trajectory,/clicked_point",
            description="which topics, commas between, of those that it has; not what the nodes publish",
        ),
        DeclareLaunchArgument("rate", default_value="1.0", description="how many times as fast as it was recorded"),
        DeclareLaunchArgument(
            "delay_s", default_value="10.0", description=f"until it begins; with '{ROS2}' the nodes must be ready then"
        ),
        DeclareLaunchArgument(
            "player",
            default_value="auto",
            choices=["auto", ROS2, OWN],
            description=f"'{ROS2}': ros2 bag play; '{OWN}': liver-seg replay; 'auto': the first that is installed",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="true",
            choices=["true", "false"],
            description="take the time from the topic /clock, where the bag's is published; without it TF looks old",
        ),
    ]
    nodes = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(share / "launch" / "liver_seg.launch.py")))
    return LaunchDescription([*arguments, OpaqueFunction(function=_player), nodes])


def _player(context: LaunchContext) -> list[ExecuteProcess]:
    """Checked before a node starts: launch leaves running what it started when something later is refused."""
    value = {name: context.perform_substitution(LaunchConfiguration(name)) for name in context.launch_configurations}
    bag = Path(value["bag"]).expanduser()
    recorded = _topics(bag)
    topics = [name for name in value["topics"].split(",") if name in recorded]
    if not topics:
        raise RuntimeError(f"{bag} has none of topics:={value['topics']}; it has {', '.join(sorted(recorded))}")
    ros2 = shutil.which(ROS2)
    options = ["--rate", value["rate"], "--delay", value["delay_s"]]
    options += ["--clock"] if value["use_sim_time"] == "true" else []
    if value["player"] == ROS2 or (value["player"] == "auto" and ros2 is not None):
        command = [ROS2, "bag", "play", str(bag), *options, "--topics", *topics]
    else:
        own = Path(get_package_prefix(PACKAGE)) / "lib" / PACKAGE / OWN
        # What is latched waits for nodes that are not ready yet.
        command = [str(own), "replay", str(bag), *options, "--keep", "--topics", ",".join(topics)]
    return [ExecuteProcess(cmd=command, output="screen")]


def _topics(bag: Path) -> set[str]:
    """Names of the topics in a bag."""
    try:
        told = yaml.safe_load((bag / "metadata.yaml").read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        return {topic["topic_metadata"]["name"] for topic in told["topics_with_message_count"]}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise RuntimeError(f"bag:={bag} is no bag: give the folder that holds metadata.yaml ({error})") from None
