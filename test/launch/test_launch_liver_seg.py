"""The launch file, evaluated by the real launch: its arguments, and the nodes that they lead to."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("launch.actions", reason="launch is not on PyPI; this runs where ROS 2 is installed")
pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI; this runs where ROS 2 is installed")

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.utilities import perform_substitutions

LAUNCH_FILE = Path(__file__).resolve().parents[2] / "launch" / "liver_seg.launch.py"


@pytest.fixture
def context():
    try:
        get_package_share_directory("liver_seg_ros")
    except PackageNotFoundError:
        pytest.skip("liver_seg_ros is not installed in a ROS prefix (colcon build, then source its setup)")
    return LaunchContext()


def entities(context, **arguments):
    context.launch_configurations.update(arguments)
    description = PythonLaunchDescriptionSource(str(LAUNCH_FILE)).get_launch_description(context)
    return description.entities


def started(context, **arguments):
    """Names of the executables, with their own command line arguments."""
    all_entities = entities(context, **arguments)
    for entity in all_entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.execute(context)
    [function] = [entity for entity in all_entities if isinstance(entity, OpaqueFunction)]
    commands = []
    for node in function.execute(context):
        words = [perform_substitutions(context, word) for word in node.cmd]
        commands.append([Path(words[0]).name, *(word for word in words[1:] if word.endswith(".nii.gz"))])
    return commands


def test_every_argument_is_described(context):
    arguments = [entity for entity in entities(context) if isinstance(entity, DeclareLaunchArgument)]
    assert {argument.name for argument in arguments} == {
        "path", "models", "runtime", "parent_frame", "composed", "rviz", "namespace",
    }  # fmt: skip
    assert all(argument.description for argument in arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [["liver_seg"]]),
        ({"path": "a.nii.gz"}, [["liver_seg", "a.nii.gz"]]),
        ({"composed": "false"}, [["segmentation"], ["reconstruction"]]),
        ({"composed": "false", "path": "a.nii.gz"}, [["ct_source"], ["segmentation"], ["reconstruction"]]),
    ],
)
def test_what_is_started(context, arguments, expected):
    assert started(context, **arguments) == expected


def test_a_profile_of_the_users_own_is_left_alone(context, monkeypatch):
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/mine.xml")
    assert not [entity for entity in entities(context) if isinstance(entity, SetEnvironmentVariable)]
