# SPDX-License-Identifier: Apache-2.0
"""Several processes that compute as one: what each has of a batch, and of its statistics, is shared with gradients.

Each process then has the loss L of the whole batch. What a gradient reaches through `gathered` or a shared norm is that
of the sum of all processes' losses, W L; DistributedDataParallel divides by W.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import Tensor, distributed, nn
from torch.distributed.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


def is_shared() -> bool:
    """Whether several processes train."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def gathered(values: Any) -> Any:
    """A tensor with what the other processes have of its batch, or a (named) tuple or list of such, in the same form.

    Where there are no other processes, `values` themselves.
    """
    if not is_shared() or values is None:
        return values
    if isinstance(values, Tensor):
        return torch.cat(functional.all_gather(values.contiguous()))
    parts = [gathered(value) for value in values]
    return type(values)(*parts) if hasattr(values, "_fields") else type(values)(parts)


class SharedNorms(LayerSync):
    """Lightning's way to let batch norms take the statistics of the whole batch: PyTorch's own has none for CPUs."""

    def apply(self, model: nn.Module) -> nn.Module:
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.__class__ = _SharedNorm
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        return model


class _SharedNorm(_BatchNorm):
    """A batch norm of any dimensions whose statistics are those of all processes' parts, all of one size."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  PyTorch's name
        return

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  PyTorch's name
        if not self.training or not is_shared():
            return super().forward(input)
        x = input.float()
        axes = [0, *range(2, x.ndim)]
        count = x.numel() / x.shape[1] * distributed.get_world_size()
        mean = functional.all_reduce(x.sum(axes)) / count
        variance = functional.all_reduce((x - _along(mean, x)).square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        y = (x - _along(mean, x)) * _along((variance + self.eps).rsqrt(), x)
        if self.affine:
            y = y * _along(self.weight, x) + _along(self.bias, x)
        return y.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        new = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, new)
        self.running_var.lerp_(variance, new)


def _along(channels: Tensor, x: Tensor) -> Tensor:
    """`(C,)` so that it goes along the channels of `(B, C, *size)`."""
    return channels.reshape(1, -1, *[1] * (x.ndim - 2))
