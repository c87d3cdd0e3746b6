# SPDX-License-Identifier: Apache-2.0
"""The loss on its way, as lines of the log and for TensorBoard."""

from __future__ import annotations

import logging
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from liver_seg_ros.training.network_module import NetworkModule

_EVERY = 20

_log = logging.getLogger(__name__)


class LogLines(Callback):
    """Says the mean loss, how much is done and how long a step takes, every 20 steps."""

    def __init__(self) -> None:
        self._losses: list[torch.Tensor] = []

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: NetworkModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero:
            return
        self._losses.append(outputs["loss"].detach())  # asked for its value later: a GPU would have to wait here
        step = pl_module.step
        if step % _EVERY != 0 or not pl_module.is_whole_step(batch_idx):
            return
        loss = float(torch.stack(self._losses).mean())
        self._losses.clear()
        _log.info(
            "step %d: loss %.4f, %.0f %% done, %.0f s, %.2f s per step, %d cases",
            *(step, loss, 100 * min(1.0, pl_module.done), pl_module.seconds, pl_module.seconds / step, pl_module.cases),
        )
        for logger in trainer.loggers:
            logger.log_metrics({"loss": loss, "learning_rate": trainer.optimizers[0].param_groups[0]["lr"]}, step)
