# SPDX-License-Identifier: Apache-2.0
"""The batches of a training, step by step, as Lightning asks for them."""

from __future__ import annotations

import numpy as np
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.network_inputs import tensors_of
from liver_seg_ros.training.patch_source import PatchSource
from liver_seg_ros.training.recipe import Recipe

Tensors = dict[str, Tensor]


class Batches(LightningDataModule):
    """From phantoms or any case source, what is left of the recipe's steps.

    Args:
        recipe: how many steps, and of how many batches each is.
        training: where the patches come from.
        first_step: steps that an earlier run has done.
        workers: processes that make batches beside the training; 0 makes them in between.
    """

    def __init__(self, recipe: Recipe, training: PatchSource, first_step: int, workers: int = 0) -> None:
        super().__init__()
        self._recipe, self._training, self._first_step, self._workers = recipe, training, first_step, workers

    def train_dataloader(self) -> DataLoader[Tensors]:
        trainer, plan = self.trainer, self._recipe.optimization
        rank, processes = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        if plan.batch % processes:
            raise InputError(f"optimization.batch {plan.batch} cannot be shared among {processes} processes")
        share = slice(rank, None, processes)
        steps = _Steps(self._recipe, self._training, self._first_step, share)
        return DataLoader(steps, batch_size=None, num_workers=self._workers, pin_memory=_is_on_gpu(self))


class _Steps(Dataset[Tensors]):
    def __init__(self, recipe: Recipe, training: PatchSource, first_step: int, share: slice) -> None:
        self._plan, self._training, self._share = recipe.optimization, training, share
        self._first = first_step * self._plan.accumulate

    def __len__(self) -> int:
        return self._plan.steps * self._plan.accumulate - self._first

    def __getitem__(self, index: int) -> Tensors:
        # The batch's own random state: a resumed training draws what an uninterrupted one would have drawn.
        step, part = divmod(self._first + index, self._plan.accumulate)
        rng = np.random.default_rng((self._plan.seed, step, part))
        return tensors_of(self._training.batch(rng, self._share))


def _is_on_gpu(module: LightningDataModule) -> bool:
    return module.trainer is not None and module.trainer.strategy.root_device.type == "cuda"
