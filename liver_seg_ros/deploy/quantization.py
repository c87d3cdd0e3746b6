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
from onnx import numpy_helper

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
        scored_with: the runtime that computes it on any machine as those of `runtimes` do. For Q/DQ that is OpenVINO,
            of `unsigned`: ONNX Runtime fuses some into something else. With all convolutions of the shipped segmenter
            in int8, its error is 6 % of the logits (29 % in version 1.24), where OpenVINO's and that of Q/DQ step by
            step is 2 %.
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
        made = load_model(result)
        return slimmed(unsigned(made) if name == "int8_openvino" else made).SerializeToString()


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


def as_scored(name: str, model: bytes) -> bytes:
    """A variant in the format called `name` as the runtime that scores it computes what is meant."""
    if FORMATS[name].scored_with != "openvino":
        return model
    return unsigned(onnx.load_from_string(model)).SerializeToString()


def unsigned(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, changed: what is quantized as it is computed is uint8 where it was int8. Its numbers stay the same.

    Both levels and zero point are moved by 128, which changes no product and no sum. OpenVINO's convolutions take no
    others from a CPU, and it moves them itself, but behind a `Concat` it does that wrongly (2026.4): a U-Net whose
    skips have negative values, as those of LeakyReLU, then gives other labels.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    to_int8 = [node for node in graph.node if node.op_type == "QuantizeLinear" and _is_int8(node, constants)]
    moved = {node.output[0] for node in to_int8}
    back = [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in moved]
    replaced = {node.input[2] for node in (*to_int8, *back)}
    for node in (*to_int8, *back):
        name = f"{node.input[2]}_unsigned"
        if name not in constants:
            levels = numpy_helper.to_array(constants[node.input[2]]).astype(np.int16) + 128
            constants[name] = numpy_helper.from_array(levels.astype(np.uint8), name)
            graph.initializer.append(constants[name])
        node.input[2] = name
    replaced -= {name for node in graph.node for name in node.input}  # weights may have had the same zero point
    kept = [tensor for tensor in graph.initializer if tensor.name not in replaced]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return model


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


def _is_int8(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a `QuantizeLinear` gives int8, which its zero point says."""
    return len(node.input) > 2 and constants[node.input[2]].data_type == onnx.TensorProto.INT8


def _is_pointwise(node: onnx.NodeProto) -> bool:
    return any(a.name == "kernel_shape" and set(a.ints) == {1} for a in node.attribute)


def _is_default(attribute: onnx.AttributeProto) -> bool:
    if attribute.name == "auto_pad":
        return bool(attribute.s == b"NOTSET")
    values = set(attribute.ints) or {attribute.i}
    return values == _DEFAULTS.get(attribute.name)
