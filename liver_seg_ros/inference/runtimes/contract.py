# SPDX-License-Identifier: Apache-2.0
"""Whether a graph takes and gives what its bundle says, for all runtimes alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import BundleSpec

FLOATS = ("float32", "float16")

#: Per `output` of a bundle, the types that its graph may give, the usual one first.
_OUTPUT_TYPES = {"logits": FLOATS, "softmax": ("float16",), "argmax": ("uint8",)}


@dataclass(frozen=True)
class Port:
    """One input or output of a graph, as its runtime describes it.

    Attributes:
        name: by which it is bound.
        dtype: NumPy's name of its type.
        shape: None where a size is free.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{self.name} {self.dtype} ({sizes})"


def check_contract(weights: Path, spec: BundleSpec, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
    """Refuse a graph with other inputs, outputs or fixed sizes than the module `bundle` describes.

    Raises:
        InputError: what the graph must have, and what it has; of fixed sizes, what to write into the description.
    """
    wanted, axes = spec.input.channels, 2 if spec.input.slices else 3
    is_labels = spec.output == "argmax"
    classes = None if is_labels else len(spec.class_names)
    output_types = _OUTPUT_TYPES[spec.output]
    fits = (
        len(inputs) == len(wanted)
        and len(outputs) == 1
        and (len(wanted) == 1 or {port.name for port in inputs} == set(wanted))
        and all(port.dtype in FLOATS for port in inputs)
        and outputs[0].dtype in output_types
        and all(_matches(port.shape, n, axes) for port, n in zip(in_order(inputs, spec), wanted.values(), strict=True))
        and _matches(outputs[0].shape, classes, axes)
    )
    fixed = [size for port in (*inputs, *outputs) for size in port.shape[-axes:] if size is not None]
    patch = spec.input.patch[::-1][-axes:]
    takes_windows = all(
        size is None or (spec.input.fixed_window and size == side)
        for port in (*inputs, *outputs)
        for size, side in zip(port.shape[-axes:], patch, strict=False)
    )
    if fits and takes_windows:
        return
    letters = "J, I" if spec.input.slices else "K, J, I"
    takes = " and ".join(
        f"one float{f' {name}' if len(wanted) > 1 else ''} (B, {channels}, {letters})"
        for name, channels in wanted.items()
    )
    gives = f"uint8 (B, {letters})" if is_labels else f"{output_types[0]} (B, {classes}, {letters})"
    sizes = f"of {', '.join(map(str, patch))} or any size" if spec.input.fixed_window else "of any size"
    described = "; ".join(str(port) for port in [*inputs, *outputs]) or "none of both"
    hint = ""
    if fits and fixed:
        own = [side if size is None else size for size, side in zip(inputs[0].shape[-axes:], patch, strict=True)][::-1]
        own += [spec.input.patch[2]] if spec.input.slices else []
        hint = f"; for windows of that size alone give input.patch: {own} and input.fixed_window: true"
    raise InputError(
        f"{weights} must take {takes} and give one {gives} with {letters} {sizes}; it has {described}{hint}"
    )


def in_order(inputs: Sequence[Port], spec: BundleSpec) -> list[Port]:
    """The inputs of a graph in the order of the bundle's `input.inputs`; one alone may have any name."""
    names = list(spec.input.inputs)
    return list(inputs) if len(inputs) == 1 else sorted(inputs, key=lambda port: names.index(port.name))


def _matches(shape: Sequence[int | None], channels: int | None, axes: int) -> bool:
    """Whether `shape` is (B, channels, K, J, I), without K for 2 `axes`, and without channels where these are None."""
    leading = 1 if channels is None else 2
    if len(shape) != leading + axes:
        return False
    return channels is None or shape[1] is None or shape[1] == channels
