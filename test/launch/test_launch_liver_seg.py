"""The launch file: its arguments, and the nodes that they lead to.

`launch` itself evaluates it where it is installed, and the two are compared there; there are no wheels
of it, so that elsewhere a stand-in does. Which of the two it was stands in the name of each test, and a run with the
stand-in ends with a warning.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import runpy
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import yaml

ament = pytest.importorskip("ament_index_python.packages", reason="needs ROS 2, from wheels at least: make setup")

RVIZ_IS_THERE = "rviz2" in ament.get_packages_with_prefixes()
REPOSITORY = Path(__file__).resolve().parents[2]
LAUNCH_FILE = REPOSITORY / "launch" / "liver_seg.launch.py"

ARGUMENTS = {
    "path",
    "models",
    "runtime",
    "precision",
    "parent_frame",
    "composed",
    "guard",
    "planner",
    "viewer",
    "registration",
    "rviz",
    "namespace",
}

try:
    import launch.actions
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch.utilities import perform_substitutions
    from launch_ros.utilities import evaluate_parameters
except ImportError:
    EVALUATED_BY = "stand-in"
else:
    EVALUATED_BY = "launch"


def _load_stand_in() -> ModuleType:
    spec = importlib.util.spec_from_file_location("launch_stand_in", Path(__file__).with_name("stand_in.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Started:
    """A node that would be started.

    Attributes:
        executable: its name.
        arguments: that the launch file gives it.
        files: names of its parameter files.
        values: parameters beside those.
    """

    executable: str
    arguments: list[str]
    files: list[str]
    values: dict[str, Any]


@dataclass(frozen=True)
class Evaluated:
    """What the launch file makes of some arguments."""

    arguments: dict[str, Any]
    environment: dict[str, str]
    started: list[Started]


Evaluate = Callable[..., Evaluated]


@pytest.fixture(params=[EVALUATED_BY])
def evaluate(request: pytest.FixtureRequest) -> Evaluate:
    """Evaluates the launch file with arguments."""
    try:
        ament.get_package_share_directory("liver_seg_ros")
    except ament.PackageNotFoundError:
        pytest.skip("liver_seg_ros is not installed in a ROS prefix (colcon build, then source its setup)")
    if request.param == "launch":
        return _by_launch
    warnings.warn("launch is not installed: test/launch/stand_in.py evaluates the launch file", stacklevel=1)
    return _by_stand_in


def _by_launch(**arguments: str) -> Evaluated:
    context = launch.LaunchContext()
    context.launch_configurations.update(arguments)
    description = PythonLaunchDescriptionSource(str(LAUNCH_FILE)).get_launch_description(context)
    declared = _of(description, launch.actions.DeclareLaunchArgument)
    for argument in declared:
        argument.execute(context)
    [function] = _of(description, launch.actions.OpaqueFunction)
    environment = _of(description, launch.actions.SetEnvironmentVariable)
    return Evaluated(
        {argument.name: argument for argument in declared},
        {perform_substitutions(context, e.name): perform_substitutions(context, e.value) for e in environment},
        [_started_by_launch(context, node) for node in function.execute(context)],
    )


def _started_by_launch(context: Any, node: Any) -> Started:
    words = [perform_substitutions(context, word) for word in node.cmd]
    parameters = evaluate_parameters(context, node._Node__parameters)  # it has no other way to tell
    return Started(
        executable=Path(words[0]).name,
        arguments=list(itertools.takewhile(lambda word: word != "--ros-args", words[1:])),
        files=[entry.name for entry in parameters if isinstance(entry, Path)],
        values={name: value for entry in parameters if isinstance(entry, dict) for name, value in entry.items()},
    )


def _by_stand_in(**arguments: str) -> Evaluated:
    stand_in = _load_stand_in()
    context = stand_in.LaunchContext()
    context.launch_configurations.update(arguments)
    with patch.dict(sys.modules, stand_in.modules()):
        description = runpy.run_path(str(LAUNCH_FILE))["generate_launch_description"]()
    declared = _of(description, stand_in.DeclareLaunchArgument)
    for argument in declared:
        argument.execute(context)
    [function] = _of(description, stand_in.OpaqueFunction)
    return Evaluated(
        {argument.name: argument for argument in declared},
        {each.name: each.value for each in _of(description, stand_in.SetEnvironmentVariable)},
        [
            Started(
                executable=node.executable,
                arguments=list(node.arguments),
                files=[Path(entry).name for entry in node.parameters if isinstance(entry, str)],
                values={
                    key: value for entry in node.parameters if isinstance(entry, dict) for key, value in entry.items()
                },
            )
            for node in function.execute(context)
        ],
    )


def _of(description: Any, kind: type) -> list[Any]:
    return [entity for entity in description.entities if isinstance(entity, kind)]


def test_every_argument_is_described(evaluate: Evaluate) -> None:
    arguments = evaluate().arguments
    assert arguments.keys() == ARGUMENTS
    assert all(argument.description for argument in arguments.values())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [("liver_seg", [])]),
        ({"path": "a.nii.gz"}, [("liver_seg", ["a.nii.gz"])]),
        ({"composed": "false"}, [("segmentation", []), ("reconstruction", [])]),
        ({"guard": "true"}, [("needle_guard", []), ("liver_seg", [])]),
        ({"registration": "true"}, [("liver_seg", ["--registration"])]),
        (
            {"registration": "true", "composed": "false"},
            [("segmentation", []), ("reconstruction", []), ("registration", [])],
        ),
        (
            {"guard": "true", "planner": "true", "viewer": "true"},
            [("planner", []), ("needle_guard", []), ("slice_viewer", []), ("liver_seg", [])],
        ),
        (
            {"composed": "false", "path": "a.nii.gz"},
            [("ct_source", []), ("segmentation", []), ("reconstruction", [])],
        ),
    ],
)
def test_what_is_started(evaluate: Evaluate, arguments: dict[str, str], expected: list[tuple[str, list[str]]]) -> None:
    started = evaluate(**arguments).started
    assert [(node.executable, node.arguments) for node in started] == expected
    executables = Path(ament.get_package_prefix("liver_seg_ros")) / "lib" / "liver_seg_ros"
    assert all((executables / node.executable).is_file() for node in started)


def test_each_node_gets_its_file_and_the_arguments_values(evaluate: Evaluate) -> None:
    given = {"path": "a.nii.gz", "models": "/m", "runtime": "openvino", "precision": "fp32", "parent_frame": "table"}
    of_source = {"path": "a.nii.gz"}
    of_segmentation = {"models_dir": "/m", "runtime": "openvino", "precision": "fp32"}
    of_reconstruction = {"parent_frame": "table"}
    apart = {node.executable: node for node in evaluate(composed="false", **given).started}
    assert apart["ct_source"].values == of_source and apart["ct_source"].files == ["ct_source.yaml"]
    assert apart["segmentation"].values == of_segmentation and apart["segmentation"].files == ["segmentation.yaml"]
    assert apart["reconstruction"].values == of_reconstruction
    [together] = evaluate(**given).started
    assert together.values == of_source | of_segmentation | of_reconstruction
    assert sorted(together.files) == ["ct_source.yaml", "reconstruction.yaml", "segmentation.yaml"]
    assert all((REPOSITORY / "config" / name).is_file() for name in together.files)
    guard = evaluate(guard="true", **given).started[0]
    assert (guard.values, guard.files) == ({}, ["needle_guard.yaml"]) and (
        REPOSITORY / "config" / guard.files[0]
    ).is_file()


def test_no_parent_frame_can_be_said(evaluate: Evaluate) -> None:
    """`ros2 launch` takes no `parent_frame:=`."""
    [together] = evaluate(parent_frame="none").started
    assert together.values["parent_frame"] == ""


@pytest.mark.parametrize("composed", ["true", "false"])
def test_rviz_is_started_before_the_nodes(
    evaluate: Evaluate, composed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where launch fails to start one it ends and leaves running those before it."""
    marker = tmp_path / "share" / "ament_index" / "resource_index" / "packages" / "rviz2"
    program = tmp_path / "lib" / "rviz2" / "rviz2"
    for file in (marker, program):
        file.parent.mkdir(parents=True)
        file.touch(mode=0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}:{os.environ['AMENT_PREFIX_PATH']}")
    started = evaluate(composed=composed, rviz="true").started
    assert started[0].executable == "rviz2"
    option, layout = started[0].arguments
    assert option == "-d" and layout.endswith("rviz/liver_seg.rviz") and Path(layout).is_file()
    assert started[1:] == evaluate(composed=composed).started
    arguments = evaluate(composed=composed, rviz="true", namespace="/left").started[0].arguments
    assert arguments[:4] == ["-d", layout, "-f", "left/ct_lps"]


def test_rviz_s_layout_shows_the_topics_of_whatever_namespace_it_is_in() -> None:
    layout = yaml.safe_load((REPOSITORY / "rviz" / "liver_seg.rviz").read_text())["Visualization Manager"]
    topics = {display["Topic"]["Value"] for display in layout["Displays"] if "Topic" in display}
    assert topics == {"markers", "vessel_tree_markers", "cloud", "clearance_cloud"}
    assert layout["Global Options"]["Fixed Frame"] == "ct_lps"  # another one is said by -f
    assert layout["Views"]["Current"]["Target Frame"] == "<Fixed Frame>"


@pytest.mark.skipif(RVIZ_IS_THERE, reason="rviz2 is installed")
def test_rviz_that_is_not_there_is_refused_in_a_line_that_says_what_to_do(evaluate: Evaluate) -> None:
    with pytest.raises(RuntimeError, match=r"^rviz:=true, but there is no package rviz2: install it .* or leave rviz"):
        evaluate(rviz="true")


def test_an_argument_that_is_no_choice_is_refused(evaluate: Evaluate) -> None:
    with pytest.raises(RuntimeError, match="composed"):
        evaluate(composed="perhaps")


def test_a_profile_of_the_users_own_is_left_alone(evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert all(value.endswith("config/fastdds_shm.xml") for value in evaluate().environment.values())
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/mine.xml")
    assert evaluate().environment == {}


@pytest.mark.skipif(EVALUATED_BY != "launch", reason="launch is not on PyPI: there it is a stand-in that evaluates")
def test_launch_itself_and_the_stand_in_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in ({}, {"path": "a.nii.gz"}, {"composed": "false", "path": "a.nii.gz", "runtime": "openvino"}):
        real, imitated = _by_launch(**arguments), _by_stand_in(**arguments)
        assert (real.started, real.environment) == (imitated.started, imitated.environment)
        assert real.arguments.keys() == imitated.arguments.keys()
