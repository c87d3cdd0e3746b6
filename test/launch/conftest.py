# SPDX-License-Identifier: Apache-2.0
"""Launch files, evaluated: their arguments, and what they would start.

`launch` itself evaluates them where it is installed; there are no wheels of it, so that elsewhere a stand-in does.
Which of the two it was stands in the name of each test, and a run with the stand-in ends with a warning.
"""

from __future__ import annotations

import importlib.util
import itertools
import runpy
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest

LAUNCH_FILES = Path(__file__).resolve().parents[2] / "launch"

try:
    import launch.actions
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch.utilities import perform_substitutions
    from launch_ros.utilities import evaluate_parameters
except ImportError:
    EVALUATED_BY = "stand-in"
else:
    EVALUATED_BY = "launch"


@dataclass(frozen=True)
class Started:
    """A process that would be started.

    Attributes:
        executable: its name.
        arguments: that the launch file gives it, ROS's own left out.
        files: names of its parameter files, of a node.
        values: parameters beside those.
        log_level: of a node; empty where none is said.
        then: what is started when it ends.
    """

    executable: str
    arguments: list[str]
    files: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    log_level: str = ""
    then: list[Started] = field(default_factory=list)


@dataclass
class Evaluated:
    """What a launch file, with those that it includes, makes of some arguments."""

    arguments: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    started: list[Started] = field(default_factory=list)


Evaluate = Callable[..., Evaluated]


@pytest.fixture(params=[EVALUATED_BY])
def evaluate(request: pytest.FixtureRequest) -> Evaluate:
    """Evaluates a launch file, by its name without `.launch.py`, with arguments."""
    ament = pytest.importorskip("ament_index_python.packages", reason="needs ROS 2, from wheels at least: make setup")
    try:
        ament.get_package_share_directory("liver_seg_ros")
    except ament.PackageNotFoundError:
        pytest.skip("liver_seg_ros is not installed in a ROS prefix (colcon build, then source its setup)")
    if request.param == "launch":
        return by_launch
    warnings.warn("launch is not installed: test/launch/stand_in.py evaluates the launch files", stacklevel=1)
    return by_stand_in


@pytest.fixture
def evaluate_both() -> tuple[Evaluate, Evaluate]:
    """By `launch` and by the stand-in."""
    if EVALUATED_BY != "launch":
        pytest.skip("launch is not on PyPI: there it is a stand-in that evaluates")
    return by_launch, by_stand_in


def by_launch(name: str = "liver_seg", /, **arguments: str) -> Evaluated:
    context = launch.LaunchContext()
    context.launch_configurations.update(arguments)
    evaluated = Evaluated()

    def take(file: str) -> None:
        for entity in PythonLaunchDescriptionSource(file).get_launch_description(context).entities:
            if isinstance(entity, launch.actions.DeclareLaunchArgument):
                evaluated.arguments.setdefault(entity.name, entity)
                entity.execute(context)
            elif isinstance(entity, launch.actions.SetEnvironmentVariable):
                value = perform_substitutions(context, entity.value)
                evaluated.environment[perform_substitutions(context, entity.name)] = value
            elif isinstance(entity, launch.actions.IncludeLaunchDescription):
                # It has no other way to tell before it is launched.
                location = entity.launch_description_source._LaunchDescriptionSource__location
                take(perform_substitutions(context, location))
            else:
                evaluated.started += [_started_by_launch(context, each) for each in entity.execute(context)]

    take(str(LAUNCH_FILES / f"{name}.launch.py"))
    return evaluated


def _started_by_launch(context: Any, process: Any) -> Started:
    words = [perform_substitutions(context, word) for word in process.cmd]
    parameters = evaluate_parameters(context, getattr(process, "_Node__parameters", []))
    return Started(
        executable=Path(words[0]).name,
        arguments=list(itertools.takewhile(lambda word: word != "--ros-args", words[1:])),
        files=[entry.name for entry in parameters if isinstance(entry, Path)],
        values={name: value for entry in parameters if isinstance(entry, dict) for name, value in entry.items()},
        log_level=words[words.index("--log-level") + 1] if "--log-level" in words else "",
        then=[_started_by_launch(context, each) for each in process._ExecuteLocal__on_exit or ()],
    )


def by_stand_in(name: str = "liver_seg", /, **arguments: str) -> Evaluated:
    stand_in = _load_stand_in()
    context = stand_in.LaunchContext()
    context.launch_configurations.update(arguments)
    evaluated = Evaluated()

    def take(file: str) -> None:
        with patch.dict(sys.modules, stand_in.modules()):
            description = runpy.run_path(file)["generate_launch_description"]()
        for entity in description.entities:
            if isinstance(entity, stand_in.DeclareLaunchArgument):
                evaluated.arguments.setdefault(entity.name, entity)
                entity.execute(context)
            elif isinstance(entity, stand_in.SetEnvironmentVariable):
                evaluated.environment[entity.name] = entity.value
            elif isinstance(entity, stand_in.IncludeLaunchDescription):
                take(entity.source.location)
            else:
                evaluated.started += [_started_by_stand_in(stand_in, each) for each in entity.execute(context)]

    take(str(LAUNCH_FILES / f"{name}.launch.py"))
    return evaluated


def _started_by_stand_in(stand_in: ModuleType, process: Any) -> Started:
    if isinstance(process, stand_in.ExecuteProcess):
        return Started(
            executable=Path(process.cmd[0]).name,
            arguments=list(itertools.takewhile(lambda word: word != "--ros-args", process.cmd[1:])),
            then=[_started_by_stand_in(stand_in, each) for each in process.on_exit],
        )
    return Started(
        executable=process.executable,
        arguments=list(process.arguments),
        files=[Path(entry).name for entry in process.parameters if isinstance(entry, str)],
        values={key: value for entry in process.parameters if isinstance(entry, dict) for key, value in entry.items()},
        log_level=process.ros_arguments[1] if process.ros_arguments else "",
    )


def _load_stand_in() -> ModuleType:
    spec = importlib.util.spec_from_file_location("launch_stand_in", Path(__file__).with_name("stand_in.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module
