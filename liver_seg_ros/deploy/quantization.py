# SPDX-License-Identifier: Apache-2.0
"""The same network in fewer bits: which variants there are, how each is made, and which layers keep their precision."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from liver_seg_ros.atomic import scratch_folder
from liver_seg_ros.deploy.tool_environment import MODELOPT, NNCF, Tool, run_tool
from liver_seg_ros.errors import InputError

_SCRIPTS = Path(__file__).parent / "quantizers"

#: Operators with weights: what int8 pays for.
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})

#: Attributes that say of a convolution what holds anyway.
_DEFAULTS = {"dilations": {1}, "strides": {1}, "group": {1}}


@dataclass(frozen=True)
class Format:
    """A number format that a variant may have.

    Attributes:
        precision: as in `Variant`.
        runtimes: as in `Variant`.
        tool: what makes it.
        scored_with: the runtime that computes it on any machine as those of `runtimes` do. For Q/DQ that is OpenVINO:
            ONNX Runtime fuses some into something else. With all convolutions of the shipped segmenter in int8, its
            error is 6 % of the logits (29 % in version 1.24), where OpenVINO's and that of Q/DQ step by step is 2 %.
    """

    precision: str
    runtimes: tuple[str, ...]
    tool: Tool
    scored_with: str


FORMATS = {
    "fp16": Format("fp16", ("tensorrt", "openvino", "onnxruntime"), MODELOPT, "onnxruntime"),
    "int8_qdq": Format("int8", ("tensorrt",), MODELOPT, "openvino"),
    "int8_openvino": Format("int8", ("openvino",), NNCF, "openvino"),
}


def quantize(name: str, weights: Path, windows: Mapping[str, NDArray[np.float32]], keep: Sequence[str] = ()) -> bytes:
    """The network in `weights` in the format called `name`, with inputs and outputs named as they were.

    Args:
        name: a key of `FORMATS`.
        weights: an ONNX model in fp32.
        windows: `(N, channels, K, J, I)` of each input by name; a model's only input may have another name. For int8
            what the network meets, for fp16 anything of sizes that it takes.
        keep: patterns of names of further nodes that are not to be int8.

    Raises:
        InputError: `weights` is no ONNX model, or the tool cannot be installed or fails.
    """
    model = load_model(weights)
    with scratch_folder() as folder:
        result, calibration = folder / "result.onnx", folder / "windows.npz"
        given = dict(zip([model.graph.input[0].name], windows.values(), strict=True)) if len(windows) == 1 else windows
        np.savez(calibration, **given)
        arguments = [str(weights), str(result), str(calibration)]
        if FORMATS[name].precision == "int8":
            arguments += sensitive_nodes(model, keep)
        if name == "int8_openvino":
            run_tool(NNCF, _SCRIPTS / "nncf_job.py", arguments)
        else:
            run_tool(MODELOPT, _SCRIPTS / "modelopt_job.py", [FORMATS[name].precision, *arguments])
        return slimmed(load_model(result)).SerializeToString()


def load_model(path: Path) -> onnx.ModelProto:
    """The ONNX model in a file. Raises `InputError` where it is none."""
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        raise InputError(f"{path} is not a whole ONNX model: {' '.join(str(error).split())}") from error
    return model


def sensitive_nodes(model: onnx.ModelProto, keep: Iterable[str] = ()) -> list[str]:
    """Names of the nodes with weights that int8 would harm more than it helps.

    These are the first, which sees the image; the last, whose rounding nothing evens out; and kernels of one voxel,
    which mix whole maps and cost next to nothing. In the shipped segmenter they make up two thirds of int8's error and
    2 % of the multiplications.

    Args:
        model: with a name on each node.
        keep: patterns of further names; each must match one.

    Raises:
        InputError: a pattern matches nothing.
    """
    weighted = [node for node in model.graph.node if node.op_type in _WEIGHTED]
    names = {node.name for node in weighted if _is_pointwise(node)}
    names |= _reached(model, [value.name for value in model.graph.input])
    names |= _reached(model, [value.name for value in model.graph.output], backwards=True)
    for pattern in keep:
        matching = {node.name for node in weighted if re.search(pattern, node.name)}
        if not matching:
            there = ", ".join(node.name for node in weighted)
            raise InputError(f"no node of the network matches '{pattern}'; with weights there are: {there}")
        names |= matching
    return [node.name for node in weighted if node.name in names]


def slimmed(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, changed: without what no runtime needs, so that half the bits are half the size."""
    graph = model.graph
    del graph.value_info[:]
    short = {tensor.name: f"w{number}" for number, tensor in enumerate(graph.initializer)}
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]
    for node in graph.node:
        node.input[:] = [short.get(name, name) for name in node.input]
        kept = [a for a in node.attribute if not (node.op_type == "Conv" and _is_default(a))]
        del node.attribute[:]
        node.attribute.extend(kept)
    return model


def _reached(model: onnx.ModelProto, values: list[str], backwards: bool = False) -> set[str]:
    """Names of the nodes with weights that lie between `values` and the next ones with weights."""
    names: set[str] = set()
    seen = set(values)
    for node in reversed(model.graph.node) if backwards else model.graph.node:  # in the order of computation
        near, far = (node.output, node.input) if backwards else (node.input, node.output)
        if seen.isdisjoint(near):
            continue
        if node.op_type in _WEIGHTED:
            names.add(node.name)
        else:
            seen.update(far)
    return names


def _is_pointwise(node: onnx.NodeProto) -> bool:
    return any(a.name == "kernel_shape" and set(a.ints) == {1} for a in node.attribute)


def _is_default(attribute: onnx.AttributeProto) -> bool:
    if attribute.name == "auto_pad":
        return bool(attribute.s == b"NOTSET")
    values = set(attribute.ints) or {attribute.i}
    return values == _DEFAULTS.get(attribute.name)
