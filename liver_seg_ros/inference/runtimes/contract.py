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
        InputError: what the graph must have, and what it has.
    """
    is_labels = spec.output == "argmax"
    classes = None if is_labels else len(spec.labels)
    output_types = _OUTPUT_TYPES[spec.output]
    if (
        len(inputs) != 1
        or len(outputs) != 1
        or inputs[0].dtype not in FLOATS
        or outputs[0].dtype not in output_types
        or not _matches(inputs[0].shape, 1)
        or not _matches(outputs[0].shape, classes)
    ):
        output = "uint8 (B, K, J, I)" if is_labels else f"{output_types[0]} (B, {classes}, K, J, I)"
        described = "; ".join(str(port) for port in [*inputs, *outputs]) or "none of both"
        raise InputError(
            f"{weights} must take one float (B, 1, K, J, I) and give one {output} with K, J, I of any size; "
            f"it has {described}"
        )


def _matches(shape: Sequence[int | None], channels: int | None) -> bool:
    """Whether `shape` is (B, channels, K, J, I) with free K, J, I, or (B, K, J, I) for no channels."""
    leading = 1 if channels is None else 2
    if len(shape) != leading + 3 or any(size is not None for size in shape[leading:]):
        return False
    return channels is None or shape[1] is None or shape[1] == channels
