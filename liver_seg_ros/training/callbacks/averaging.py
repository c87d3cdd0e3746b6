# SPDX-License-Identifier: Apache-2.0
"""An exponential moving average of the weights, which is validated and exported in their place."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from liver_seg_ros.training.network_module import NetworkModule


class Averaging(Callback):
    """Averages after each step: w' = decay w' + (1 - decay) w; what is no weight (statistics of norms) is copied.

    Args:
        network: whose weights; the average begins with those after the first step.
        decay: above 0, below 1.
        averaged: weights of an average to go on with.
    """

    def __init__(self, network: nn.Module, decay: float, averaged: dict[str, Tensor] | None = None) -> None:
        self._model = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))
        if averaged is not None:
            self._model.module.load_state_dict(averaged)
            self._model.n_averaged.fill_(1)  # the next is averaged, and not taken as the first

    @property
    def network(self) -> nn.Module:
        """With the averaged weights."""
        return self._model.module

    def on_fit_start(self, trainer: Trainer, pl_module: NetworkModule) -> None:  # type: ignore[override]
        self._model.to(pl_module.device)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: NetworkModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.is_whole_step(batch_idx):
            self._model.update_parameters(pl_module.network)
