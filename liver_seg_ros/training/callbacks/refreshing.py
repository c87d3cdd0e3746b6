# SPDX-License-Identifier: Apache-2.0
"""Cases that are still being made while a training runs."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, Trainer

from liver_seg_ros.training.network_module import NetworkModule
from liver_seg_ros.training.patch_source import PatchSource

_EVERY = 100


class Refreshing(Callback):
    """Takes in what has landed, every 100 steps; of several processes none, for they must draw from the same cases."""

    def __init__(self, training: PatchSource) -> None:
        self._training = training

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: NetworkModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.world_size == 1 and pl_module.is_whole_step(batch_idx) and pl_module.step % _EVERY == 0:
            self._training.refresh()
