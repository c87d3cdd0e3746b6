"""Descriptors of node parameters: every parameter has a description, and numbers have a range."""

from __future__ import annotations

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor


def text(description: str, read_only: bool = False) -> ParameterDescriptor:
    """Descriptor of a string, a list or a switch."""
    return ParameterDescriptor(description=description, read_only=read_only)


def numbers(description: str, read_only: bool = False) -> ParameterDescriptor:
    """Of a list of numbers: ROS takes `[1, 2]` for whole numbers, which real ones may be. Give it a check."""
    return ParameterDescriptor(description=description, read_only=read_only, dynamic_typing=True)


def name_or_number(description: str) -> ParameterDescriptor:
    """Descriptor of a name that may be a number: ROS takes `2` in a file or on the command line as one."""
    return ParameterDescriptor(description=description, dynamic_typing=True)


def whole(description: str, low: int, high: int, read_only: bool = False) -> ParameterDescriptor:
    """Descriptor of a whole number from `low` to `high`."""
    steps = [IntegerRange(from_value=low, to_value=high, step=1)]
    return ParameterDescriptor(description=description, integer_range=steps, read_only=read_only)


def real(description: str, low: float, high: float, read_only: bool = False) -> ParameterDescriptor:
    """Descriptor of a real number from `low` to `high`."""
    span = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
    return ParameterDescriptor(description=description, floating_point_range=span, read_only=read_only)
