# SPDX-License-Identifier: Apache-2.0
"""The training's state on disk: the last, and beside it the best by Dice."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from liver_seg_ros.training.checkpoint import BEST, CHECKPOINT, Checkpoint, save_checkpoint
from liver_seg_ros.training.network_module import NetworkModule
from liver_seg_ros.training.optimization_recipe import MEAN


class Checkpoints(Callback):
    """Writes `checkpoint.pt` at each milestone and, where Dice is higher than ever before, `best.pt` ahead of it.

    In this order a kill between the two is made up for: the training goes on from the last, and finds the best again.

    Args:
        folder: where.
        state: the training's state as it is now; its best score is filled in here.
        best: Dice of the best of an earlier run.
    """

    def __init__(self, folder: Path, state: Callable[[NetworkModule], Checkpoint], best: float | None) -> None:
        self._folder, self._state = folder, state
        self._best = -math.inf if best is None else best
        self.last: Checkpoint | None = None

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: NetworkModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not pl_module.is_milestone(batch_idx):
            return
        checkpoint = self._state(pl_module)
        score = _score(checkpoint.scores, pl_module.recipe.optimization.best_by)
        is_best = score > self._best
        self._best = max(self._best, score)
        checkpoint.best = None if self._best == -math.inf else self._best
        if trainer.is_global_zero:
            if is_best:
                save_checkpoint(self._folder / BEST, checkpoint)
            save_checkpoint(self._folder / CHECKPOINT, checkpoint)
        self.last = checkpoint


def _score(scores: Mapping[str, float], best_by: str) -> float:
    """What the best is chosen by; the lowest where it was not measured."""
    chosen = [score for name, score in scores.items() if best_by in (MEAN, name)]
    return sum(chosen) / len(chosen) if chosen else -math.inf
