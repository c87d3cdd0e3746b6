# SPDX-License-Identifier: Apache-2.0
"""Dice on cases that are not trained on, at the recipe's milestones."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import nn

from liver_seg_ros.evaluation.metrics import DiceCounter
from liver_seg_ros.training.cases import Case, class_of_values
from liver_seg_ros.training.network_module import NetworkModule
from liver_seg_ros.training.prediction import predict_classes

_log = logging.getLogger(__name__)


class Validation(Callback):
    """Measures Dice per structure over the voxels of all cases together, divided among the processes.

    Args:
        network: what is measured, that of the training or its average.
        cases: by number.
        history: `(step, scores)` of earlier measurements, of a training that goes on.
        scores: as last measured, where that one has no history.
    """

    def __init__(
        self,
        network: nn.Module,
        cases: Mapping[int, Case],
        history: Sequence[tuple[int, dict[str, float]]],
        scores: Mapping[str, float],
    ) -> None:
        self._network, self._cases = network, cases
        self.history, self.scores = list(history), dict(scores)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: NetworkModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._cases or not pl_module.is_milestone(batch_idx):
            return
        recipe = pl_module.recipe
        counter, class_of = DiceCounter(recipe.labels), class_of_values(recipe)
        with trainer.precision_plugin.val_step_context():
            for case in [*self._cases.values()][trainer.global_rank :: trainer.world_size]:
                counter.add(predict_classes(self._network, case.image, recipe), class_of[case.labels])
        counts = torch.from_numpy(counter.counts).to(pl_module.device)
        total = trainer.strategy.reduce(counts, reduce_op="sum")
        self.scores = DiceCounter(recipe.labels, torch.as_tensor(total).cpu().numpy()).scores()
        self.history.append((pl_module.step, self.scores))
        said = ", ".join(f"{name} {score:.3f}" for name, score in self.scores.items())
        if trainer.is_global_zero:
            _log.info("step %d: Dice %s", pl_module.step, said)
        for logger in trainer.loggers:
            logger.log_metrics({f"dice/{name}": score for name, score in self.scores.items()}, pl_module.step)
