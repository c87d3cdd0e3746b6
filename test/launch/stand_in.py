# SPDX-License-Identifier: Apache-2.0
"""As much of `launch` and `launch_ros` as the launch files use, where ROS 2 comes from wheels, which have neither.

It evaluates a launch file; it starts nothing. Where the real ones are installed they are used, and this is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any


class LaunchContext:
    """The values of the launch arguments."""

    def __init__(self) -> None:
        self.launch_configurations: dict[str, str] = {}

    def perform_substitution(self, substitution: LaunchConfiguration) -> str:
        return self.launch_configurations[substitution.name]


@dataclass(frozen=True)
class LaunchConfiguration:
    name: str


@dataclass(frozen=True)
class LaunchDescription:
    entities: Sequence[Any]


@dataclass(frozen=True)
class DeclareLaunchArgument:
    name: str
    default_value: str | None = None
    description: str = ""
    choices: Sequence[str] | None = None

    def execute(self, context: LaunchContext) -> None:
        if self.default_value is None and self.name not in context.launch_configurations:
            raise RuntimeError(f'Required launch argument "{self.name}" was not provided.')
        value = context.launch_configurations.setdefault(self.name, self.default_value or "")
        if self.choices is not None and value not in self.choices:
            raise RuntimeError(f"argument '{self.name}' must be one of {self.choices}, not '{value}'")


@dataclass(frozen=True)
class OpaqueFunction:
    function: Callable[..., list[Node | ExecuteProcess]]
    args: Iterable[Any] = ()

    def execute(self, context: LaunchContext) -> list[Node | ExecuteProcess]:
        return self.function(context, *self.args)


@dataclass(frozen=True)
class SetEnvironmentVariable:
    name: str
    value: str


@dataclass(frozen=True)
class Node:
    package: str
    executable: str
    namespace: str = ""
    parameters: Sequence[str | Mapping[str, Any]] = ()
    arguments: Sequence[str] = ()
    ros_arguments: Sequence[str] = ()
    output: str = "log"


@dataclass(frozen=True)
class ExecuteProcess:
    cmd: Sequence[str]
    on_exit: Sequence[Node | ExecuteProcess] = ()
    output: str = "log"


@dataclass(frozen=True)
class PythonLaunchDescriptionSource:
    location: str


@dataclass(frozen=True)
class IncludeLaunchDescription:
    source: PythonLaunchDescriptionSource


def modules() -> dict[str, ModuleType]:
    """What to put into `sys.modules` for the launch file."""
    contents: dict[str, tuple[type, ...]] = {
        "launch": (LaunchContext, LaunchDescription),
        "launch.actions": (
            DeclareLaunchArgument,
            ExecuteProcess,
            IncludeLaunchDescription,
            OpaqueFunction,
            SetEnvironmentVariable,
        ),
        "launch.launch_description_sources": (PythonLaunchDescriptionSource,),
        "launch.substitutions": (LaunchConfiguration,),
        "launch_ros": (),
        "launch_ros.actions": (Node,),
    }
    made = {}
    for name, classes in contents.items():
        made[name] = ModuleType(name)
        vars(made[name]).update({each.__name__: each for each in classes})
    return made
