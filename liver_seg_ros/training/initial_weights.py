# SPDX-License-Identifier: Apache-2.0
"""Training that goes on from a shipped bundle: the weights of its ONNX graph, put back into the network.

At export each batch norm was folded into the convolution before it: the graph has convolutions with biases and no
norms. So a norm takes the convolution's bias as its shift, and a variance that makes up for the convolution's weights
being brought back to the size that they have when a network is made. (Folded weights of deep levels are some
thousandths: a step of Adam's, the same for all weights, would be a large part of them.) The norm must keep its
statistics while training (`OptimizationRecipe.fixed_norm_from: 0`), as the folded ones are lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle
from liver_seg_ros.inference.conventions import OWN
from liver_seg_ros.inference.preprocessing import normalize

#: Largest difference between network and graph, over the largest logit.
TOLERANCE = 1e-4

#: What `deploy.graph.DeployedNetwork` calls the network in it.
_PREFIX = "network."


def load_initial_weights(network: nn.Module, bundle: ModelBundle) -> float:
    """Make `network` compute what the bundle's plain weights compute; checked on random HU with ONNX Runtime.

    Returns by how much the logits differ, over the largest of them.

    Args:
        network: of the same architecture; its weights are replaced.
        bundle: exported by `deploy.export`, with `output: logits`.

    Raises:
        InputError: another architecture, other labels, an output other than logits, logits that differ, or a bundle
            that another tool's network became.
    """
    where = f"the initial weights in {bundle.folder}"
    if bundle.spec.input.convention != OWN:
        raise InputError(
            f"{where} are of a network that another tool trained; there it is trained on, and imported anew"
        )
    if len(bundle.spec.input.inputs) > 1:
        raise InputError(f"{where} are of a network of several inputs; give a checkpoint of its training (.pt) instead")
    if bundle.spec.output != "logits":
        raise InputError(f"{where} give '{bundle.spec.output}'; a training needs a bundle whose output is 'logits'")
    model = onnx.load(str(bundle.weights))
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    biases = {node.input[1]: values[node.input[2]] for node in model.graph.node if _has_bias(node, values)}
    modules = dict(network.named_modules())
    for path, module in modules.items():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            name = f"{_PREFIX}{path}.weight"
            if name not in values:
                raise InputError(f"{where} are of another network: they have no '{name}'")
            _copy(module.weight, values[name], name, where)
            bias = biases.get(name, np.zeros(module.out_channels, np.float32))
            if module.bias is not None:
                _copy(module.bias, bias, f"{_PREFIX}{path}.bias", where)
            else:
                _unfold(module, _norm_behind(path, modules, where), bias, where)
    error = _difference(network, bundle)
    if not error <= TOLERANCE:
        raise InputError(f"{where} give other logits in this network: they differ by {error:.2g} of the largest")
    return error


def _has_bias(node: onnx.NodeProto, values: dict[str, NDArray[Any]]) -> bool:
    return node.op_type == "Conv" and len(node.input) > 2 and node.input[2] in values


def _norm_behind(path: str, modules: dict[str, nn.Module], where: str) -> _BatchNorm:
    """The batch norm that follows the convolution at `path` in its sequence."""
    parent, _, number = path.rpartition(".")
    norm = modules.get(f"{parent}.{int(number) + 1}") if number.isdigit() else None
    if not isinstance(norm, _BatchNorm):
        raise InputError(f"{where} cannot be used: convolution '{path}' has neither a bias nor a batch norm behind it")
    return norm


@torch.no_grad()
def _unfold(convolution: nn.Conv2d | nn.Conv3d, norm: _BatchNorm, shift: NDArray[np.float32], where: str) -> None:
    """Scale each filter to the size of PyTorch's initial weights; the norm behind it undoes that and adds `shift`."""
    axes = tuple(range(1, convolution.weight.ndim))
    size = convolution.weight.square().mean(axes).sqrt()  # (out,)
    initial = (3 * convolution.weight[0].numel()) ** -0.5  # standard deviation of PyTorch's uniform weights
    scale = torch.where(size > 0, initial / size.clamp_min(1e-12), torch.ones_like(size)).clamp_min(0.01)
    convolution.weight.mul_(scale.reshape(-1, *(1 for _ in axes)))
    norm.reset_running_stats()  # mean 0
    norm.running_var.copy_(scale.square())  # type: ignore[union-attr]
    norm.weight.copy_((scale.square() + norm.eps).sqrt() / scale)  # the eps of the norm's division, undone
    _copy(norm.bias, shift, "the shift of a norm", where)


@torch.no_grad()
def _copy(parameter: Tensor, value: NDArray[Any], name: str, where: str) -> None:
    if tuple(parameter.shape) != value.shape:
        raise InputError(f"{where} are of another network: {name} is {value.shape}, not {tuple(parameter.shape)}")
    parameter.copy_(torch.from_numpy(value.astype(np.float32)))


@torch.no_grad()
def _difference(network: nn.Module, bundle: ModelBundle) -> float:
    """Largest difference of the logits on random HU, over the largest logit."""
    spec = bundle.spec.input
    edges = spec.patch[::-1] if spec.fixed_window else (2 * spec.divisor,) * 3
    low, high = spec.hu_window
    shape = (1, *spec.channels.values(), *edges[1 if spec.slices else 0 :])
    hu = np.random.default_rng(0).uniform(low - 50, high + 50, shape).astype(np.float32)
    normalized = normalize(hu, spec.hu_window)
    session = onnxruntime.InferenceSession(str(bundle.weights), providers=["CPUExecutionProvider"])
    image = hu if bundle.spec.values == "hu" else normalized
    try:
        expected = session.run(None, {session.get_inputs()[0].name: image})[0]
        found = network.eval()(torch.from_numpy(normalized)).numpy()
    except (InvalidArgument, RuntimeError, InputError):  # one takes slices and the other volumes, or other channels
        return float("inf")
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max() / np.abs(expected).max())
