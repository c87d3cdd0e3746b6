# SPDX-License-Identifier: Apache-2.0
"""The network of an ONNX file as a PyTorch module, executed eagerly, layer by layer: the same weights for a baseline.

Only what convolutional networks need is known. Batch normalization was folded into the convolutions when the file was
made, which makes the module a little faster than the network as it was trained.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional


class OnnxInTorch(nn.Module):
    """From the file's only input to its only output. Raises `ValueError` for an operator that is not known here."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = onnx.load(path).graph
        (self._input,), (self._output,) = [i.name for i in graph.input], [o.name for o in graph.output]
        self._constants = {tensor.name: _tensor(tensor) for tensor in graph.initializer}
        self._steps: list[tuple[Callable[..., Tensor], list[str], str]] = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                self._constants[node.output[0]] = _tensor(attributes["value"])
            elif node.op_type in _OPERATORS:
                self._steps.append((_OPERATORS[node.op_type](attributes), list(node.input), node.output[0]))
            else:
                raise ValueError(f"{path}: the operator {node.op_type} is not known here")
        self._last_use = {name: n for n, (_, inputs, _) in enumerate(self._steps) for name in inputs}

    def forward(self, image: Tensor) -> Tensor:
        values: dict[str, Tensor | None] = {**self._constants, "": None, self._input: image}
        for number, (operator, inputs, output) in enumerate(self._steps):
            values[output] = operator(*(values[name] for name in inputs))
            for name in inputs:  # what is not needed any more goes, as it would in a module written by hand
                if self._last_use[name] == number and name not in self._constants:
                    values.pop(name, None)
        result = values[self._output]
        assert result is not None
        return result


def _tensor(proto: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(proto).copy())


def _conv(attributes: dict[str, Any]) -> Callable[..., Tensor]:
    pads = attributes.get("pads", [0] * 6)
    before, after = pads[:3], pads[3:]
    if before != after or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise ValueError(f"convolution with uneven padding {pads}")
    strides, dilations = attributes.get("strides", [1] * 3), attributes.get("dilations", [1] * 3)
    groups = attributes.get("group", 1)

    def conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.conv3d(x, weight, bias, strides, list(before), dilations, groups)

    return conv


def _resize(attributes: dict[str, Any]) -> Callable[..., Tensor]:
    mode = {b"nearest": "nearest", b"linear": "trilinear"}[attributes.get("mode", b"nearest")]
    aligned = attributes.get("coordinate_transformation_mode", b"half_pixel") == b"align_corners"

    def resize(x: Tensor, roi: Tensor | None, scales: Tensor | None = None, sizes: Tensor | None = None) -> Tensor:
        corners = aligned if mode == "trilinear" else None
        if sizes is not None:
            return functional.interpolate(x, size=sizes[2:].tolist(), mode=mode, align_corners=corners)
        assert scales is not None
        return functional.interpolate(x, scale_factor=scales[2:].tolist(), mode=mode, align_corners=corners)

    return resize


def _clip(attributes: dict[str, Any]) -> Callable[..., Tensor]:
    return lambda x, low=None, high=None: x.clamp(low, high)


_OPERATORS: dict[str, Callable[[dict[str, Any]], Callable[..., Tensor]]] = {
    "Conv": _conv,
    "Resize": _resize,
    "Clip": _clip,
    "Relu": lambda _: torch.relu,
    "Add": lambda _: torch.add,
    "Sub": lambda _: torch.sub,
    "Mul": lambda _: torch.mul,
    "Div": lambda _: torch.div,
    "Cast": lambda _: Tensor.float,
}
