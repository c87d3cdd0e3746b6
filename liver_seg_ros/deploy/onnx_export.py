"""From a network to ONNX, checked against the network itself."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.export import Dim

OPSET = 18
#: Largest difference of a logit between PyTorch and ONNX Runtime: both compute in float32, but sum in different orders.
TOLERANCE = 1e-4


class ExportError(RuntimeError):
    """The exported model does not compute what the network computes."""


def export_onnx(
    network: nn.Module,
    size: Sequence[int],
    multiple: int | None,
    inputs: Mapping[str, int] | None = None,
    tolerance: float = TOLERANCE,
) -> bytes:
    """`network` as one serialized ONNX model with its weights inside, normalization folded into the convolutions.

    Each input is `(batch, channels, K, J, I)` float32, or `(batch, channels, J, I)` for a 2D network; the output
    `logits` is `(batch, classes, ...)` float32. The batch is free, the sizes are where `multiple` is given: its axes
    are then called e.g. `16*k`. The model is run here, on two sizes where they are free, and compared with the network.

    Args:
        network: from images of one size to logits of that size; put into evaluation mode.
        size: one that fits, `(K, J, I)` or `(J, I)`.
        multiple: each edge may become longer by multiples of this; None where `size` is the only one that fits.
        inputs: name to channels, in the order of `forward`; one `image` of one channel if not given.
        tolerance: largest difference of a logit that is accepted, as a share of the largest logit.

    Raises:
        ExportError: ONNX Runtime's answer differs by more.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # lists every torchvision operator that is not there
    network = network.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    inputs = {"image": 1} if inputs is None else inputs
    step = multiple or 0
    # Batch 2 and edges of different lengths: torch.export takes sizes that are 1 or equal by chance to be so always.
    traced = _images(inputs, 2, [n + step * more for more, n in enumerate(size, start=1)])
    free = {0: Dim("batch")}
    if multiple is not None:
        free |= {axis: multiple * Dim(name) for axis, name in enumerate("kji"[-len(size) :], start=2)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's own deprecations, and that inputs share the names of their axes
        program = torch.onnx.export(
            network,
            tuple(traced.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes=tuple(free for _ in inputs),
            verbose=False,
        )
    if program is None:
        raise ExportError("the network could not be exported")
    proto = program.model_proto
    _strip_metadata(proto)
    model: bytes = proto.SerializeToString()
    session = open_session(model)
    other = size if multiple is None else [n + step for n in reversed(size)]
    for batch, checked in ((1, size), (3, other)):
        error = parity_error(network, session, checked, inputs, batch)
        if not error <= tolerance:
            raise ExportError(
                f"ONNX Runtime differs from PyTorch by {error:.2g} of the largest logit at a batch of {batch} "
                f"and size {tuple(checked)}"
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
) -> float:
    """Largest difference between ONNX Runtime's and PyTorch's logits of random images, over the largest logit."""
    images = _images(inputs, batch, size)
    expected = network(*images.values()).numpy()
    found = session.run(["logits"], {name: image.numpy() for name, image in images.items()})[0]
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _images(inputs: Mapping[str, int], batch: int, size: Sequence[int]) -> dict[str, Tensor]:
    """Random images within -1 ... 1, as networks get them: name to `(batch, channels, *size)`."""
    rng = np.random.default_rng(0)
    return {
        name: torch.from_numpy(rng.uniform(-1, 1, (batch, channels, *size)).astype(np.float32))
        for name, channels in inputs.items()
    }


def _strip_metadata(proto: onnx.ModelProto) -> None:
    """Remove the stack traces: they hold paths of the machine that exported."""
    graph = proto.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (proto, graph, *graph.node, *values):
        del part.metadata_props[:]
