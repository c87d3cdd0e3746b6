# SPDX-License-Identifier: Apache-2.0
"""From a network to ONNX, checked against the network itself."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from onnxscript import optimizer
from torch import Tensor, nn
from torch.export import Dim

from liver_seg_ros.deploy.graph import TOLERANCES, DeployedNetwork
from liver_seg_ros.inference.input_spec import EDGES, PREVIOUS

OPSET = 18

#: What may be computed at export instead of at every run, in numbers per tensor: a weight standardization's, but not
#: a map's. The exporter's own limit leaves the standardization of all but the smallest convolutions in the graph.
_LARGEST_FOLDED = 8 << 20


class ExportError(RuntimeError):
    """The exported model does not compute what the network computes."""


def export_onnx(
    network: nn.Module,
    size: Sequence[int],
    multiple: int | Sequence[int] | None,
    inputs: Mapping[str, int] | None = None,
    tolerance: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> bytes:
    """`network` as one serialized ONNX model with its weights inside, normalization folded into the convolutions.

    Each input is `(batch, channels, K, J, I)`, or `(batch, channels, J, I)` for a 2D network; the output is named after
    what it is: `logits`, or the `output` of a `DeployedNetwork`. The batch is free, the sizes are where `multiple` is
    given: its axes are then called e.g. `16*k`. The model is run here, on two sizes where they are free, and compared
    with the network.

    Args:
        network: from images of one size to logits of that size, or a `DeployedNetwork`; put into evaluation mode.
        size: one that fits, `(K, J, I)` or `(J, I)`.
        multiple: each edge may become longer by multiples of this, or of its own; None where `size` is the only one
            that fits.
        inputs: name to channels, in the order of `forward`; one `image` of one channel if not given.
        tolerance: largest error that is accepted, see `DeployedNetwork.error`; that of `TOLERANCES` if not given.
        dtype: of the inputs; float16 only for a `DeployedNetwork`.

    Raises:
        ExportError: ONNX Runtime's answer differs by more.
    """
    for library in ("torch.onnx", "onnxscript", "onnx_ir"):  # they list all that they look for and do not find
        logging.getLogger(library).setLevel(logging.ERROR)
    network = network.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    inputs = {"image": 1} if inputs is None else inputs
    output = network.output if isinstance(network, DeployedNetwork) else "logits"
    tolerance = TOLERANCES[output] if tolerance is None else tolerance
    steps = [multiple or 0] * len(size) if multiple is None or isinstance(multiple, int) else list(multiple)
    # Batch 2 and edges of different lengths: torch.export takes sizes that are 1 or equal by chance to be so always.
    longer = [n + step * more for more, (n, step) in enumerate(zip(size, steps, strict=True), start=1)]
    traced = _images(network, inputs, 2, longer, dtype)
    free = {0: Dim("batch")}
    if multiple is not None:
        names = zip(steps, "kji"[-len(size) :], strict=True)
        free |= {axis: step * Dim(name) for axis, (step, name) in enumerate(names, start=2)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's own deprecations, and that inputs share the names of their axes
        program = torch.onnx.export(
            network,
            tuple(traced.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=tuple(free for _ in inputs),
            verbose=False,
        )
    if program is None:
        raise ExportError("the network could not be exported")
    optimizer.optimize_ir(program.model, input_size_limit=_LARGEST_FOLDED, output_size_limit=_LARGEST_FOLDED)
    proto = program.model_proto
    _strip_metadata(proto)
    model: bytes = proto.SerializeToString()
    session = open_session(model)
    other = [n + step for n, step in zip(size, steps, strict=True)]
    for batch, checked in ((1, size), (3, other)):
        error = parity_error(network, session, checked, inputs, batch, dtype)
        if not error <= tolerance:
            of = "in probability" if output == "softmax" else "of the largest logit"
            raise ExportError(
                f"ONNX Runtime differs from PyTorch by {error:.2g} {of} at a batch of {batch} and size {tuple(checked)}"
            )
    return model


def open_session(model: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU."""
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


@torch.no_grad()
def parity_error(
    network: nn.Module,
    session: onnxruntime.InferenceSession,
    size: Sequence[int],
    inputs: Mapping[str, int],
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
) -> float:
    """How far ONNX Runtime is from PyTorch on random images, see `DeployedNetwork.error`."""
    images = _images(network, inputs, batch, size, dtype)
    found = session.run(None, {name: image.numpy() for name, image in images.items()})[0]
    if isinstance(network, DeployedNetwork):
        return network.error(found, *images.values())
    expected = network(*images.values()).numpy()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _images(
    network: nn.Module, inputs: Mapping[str, int], batch: int, size: Sequence[int], dtype: torch.dtype
) -> dict[str, Tensor]:
    """Random images, name to `(batch, channels, *size)`: -1 ... 1 as networks get them, or HU beyond the window.

    Edges are 0 or 1, what a stage before found is numbers of classes.
    """
    low, high = -1.0, 1.0
    if isinstance(network, DeployedNetwork) and network.hu_window is not None:
        margin = (network.hu_window[1] - network.hu_window[0]) / 4
        low, high = network.hu_window[0] - margin, network.hu_window[1] + margin
    rng = np.random.default_rng(0)
    images = {}
    for name, channels in inputs.items():
        values = rng.uniform(low, high, (batch, channels, *size)).astype(np.float32)
        if name == PREVIOUS:
            values = rng.integers(0, 4, values.shape).astype(np.float32)
        if name == EDGES:
            values = (values > (low + high) / 2).astype(np.float32)
        images[name] = torch.from_numpy(values).to(dtype)
    return images


def _strip_metadata(proto: onnx.ModelProto) -> None:
    """Remove the stack traces: they hold paths of the machine that exported."""
    graph = proto.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (proto, graph, *graph.node, *values):
        del part.metadata_props[:]
