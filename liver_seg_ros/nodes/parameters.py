# SPDX-License-Identifier: Apache-2.0
"""A parameter of a node, a row of a table: the source of its declaration, its judgment, its place in config/ and docs.

The tables are in `parameter_tables.py`; `tools/parameter_files.py` writes what is made of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from liver_seg_ros.nodes.parameter_rules import Applies, Check
from liver_seg_ros.short_repr import short_repr

#: What a parameter may hold.
Value = bool | int | float | str | tuple[float, ...]

_TYPES = {bool: "bool", int: "integer", float: "double", str: "string", tuple: "double[]"}


@dataclass(frozen=True, eq=False)
class Row:
    """One parameter.

    Attributes:
        name: ends in its unit where it has one.
        default: its type is the parameter's.
        description: whole sentences.
        unit: of the number; empty where there is none.
        span: least and greatest value; every number has one, and nothing else.
        read_only: can be given at start only.
        check: what else a value must be; finite where None.
        applies: when a new value has an effect.
        any_number: takes whole numbers for real ones in a list, or a number for a name, as ROS reads them from a file.
    """

    name: str
    default: Value
    description: str
    unit: str = ""
    span: tuple[float, float] | None = None
    read_only: bool = False
    check: Check | None = None
    applies: Applies = Applies.ANY_TIME
    any_number: bool = False

    __repr__ = short_repr

    @property
    def type(self) -> str:
        """As ROS calls it."""
        return _TYPES[type(self.default)]

    @property
    def set_when(self) -> str:
        """When a value can be given, in words."""
        return "at start" if self.read_only else self.applies.value

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        told = ParameterDescriptor(
            description=self.description,
            additional_constraints="; ".join(filter(None, (self.unit and f"in {self.unit}", f"set: {self.set_when}"))),
            read_only=self.read_only,
            dynamic_typing=self.any_number,
        )
        if self.span is not None and isinstance(self.default, int):
            low, high = map(int, self.span)
            told.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        elif self.span is not None:
            low_, high_ = map(float, self.span)
            told.floating_point_range = [FloatingPointRange(from_value=low_, to_value=high_, step=0.0)]
        return told
