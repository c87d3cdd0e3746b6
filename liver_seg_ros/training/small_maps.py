# SPDX-License-Identifier: Apache-2.0
"""Convolutions of maps that have fewer voxels than their kernels, in bfloat16 on a CPU.

There PyTorch (2.13, its oneDNN on processors with bfloat16) leaves parts of the gradient of the weights as it found the
memory, which may be 1e33, and larger kernels write beyond it. A network whose coarsest map is two slices deep would
learn noise, and no two trainings would be equal. Maps that small cost nothing: they are computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd


def compute_small_maps_in_float32(network: nn.Module) -> None:
    """Change the convolutions of `network` so that those of small maps take no part in CPU autocast."""
    for module in network.modules():
        if isinstance(module, _ConvNd):
            module.forward = partial(_forward, module, type(module).forward)


def _forward(module: _ConvNd, forward: Callable[..., Tensor], image: Tensor, *rest: Any) -> Tensor:
    reach = (dilation * (edge - 1) + 1 for edge, dilation in zip(module.kernel_size, module.dilation, strict=True))
    is_small = any(side < least for side, least in zip(image.shape[2:], reach, strict=True))
    if not is_small or not torch.is_autocast_enabled("cpu"):
        return forward(module, image, *rest)
    with torch.autocast("cpu", enabled=False):
        return forward(module, image.float(), *rest).to(torch.get_autocast_dtype("cpu"))
