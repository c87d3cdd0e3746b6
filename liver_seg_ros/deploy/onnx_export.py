"""From a trained network to ONNX, checked against the network itself."""

from __future__ import annotations

import logging

import numpy as np
import onnxruntime
import torch
from torch import nn

OPSET = 18
#: Largest difference of a logit between PyTorch and ONNX Runtime: both compute in float32, but sum in different orders.
TOLERANCE = 1e-4


class ExportError(RuntimeError):
    """The exported model does not compute what the network computes."""


def export_onnx(network: nn.Module, multiple: int, tolerance: float = TOLERANCE) -> bytes:
    """`network` as one serialized ONNX model with its weights inside, normalization folded into the convolutions.

    Its input `image` is `(batch, 1, K, J, I)` float32, its output `logits` `(batch, classes, K, J, I)` float32; batch,
    K, J and I are free. It is run here on two sizes and compared with the network.

    Args:
        network: in evaluation mode, from one channel to logits of the same size.
        multiple: K, J and I must be multiples of this.
        tolerance: largest difference of a logit that is accepted, as a share of the largest logit.

    Raises:
        ExportError: ONNX Runtime's answer differs by more.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # lists every torchvision operator that is not there
    network = network.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    program = torch.onnx.export(
        network,
        (torch.zeros(1, 1, 3 * multiple, 4 * multiple, 5 * multiple),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: "batch", 2: "k", 3: "j", 4: "i"},),
        verbose=False,
    )
    if program is None:
        raise ExportError("the network could not be exported")
    proto = program.model_proto
    for part in (
        proto,
        proto.graph,
        *proto.graph.node,
        *proto.graph.value_info,
        *proto.graph.input,
        *proto.graph.output,
    ):
        del part.metadata_props[:]  # stack traces, with the paths of the machine that exported
    for tensor in proto.graph.initializer:
        del tensor.metadata_props[:]
    model: bytes = proto.SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for shape in ((1, 1, 3 * multiple, 4 * multiple, 5 * multiple), (2, 1, 6 * multiple, 2 * multiple, 4 * multiple)):
        difference = _difference(network, session, shape)
        if not difference <= tolerance:
            raise ExportError(f"ONNX Runtime differs from PyTorch by {difference:.2g} of the largest logit at {shape}")
    return model


@torch.no_grad()
def _difference(network: nn.Module, session: onnxruntime.InferenceSession, shape: tuple[int, ...]) -> float:
    """Largest difference over largest logit for one random image of `shape`, within -1 ... 1 as networks get it."""
    image = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    expected = network(torch.from_numpy(image)).numpy()
    found = session.run(["logits"], {"image": image})[0]
    return float(np.abs(found - expected).max() / np.abs(expected).max())
