# SPDX-License-Identifier: Apache-2.0
"""The recipe's network as Lightning trains it: a step, its loss, its optimizer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.distillation import Distillation
from liver_seg_ros.training.gathering import gathered
from liver_seg_ros.training.losses import Loss
from liver_seg_ros.training.network_inputs import inputs_of
from liver_seg_ros.training.optimizers import create_optimizer
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.schedules import learning_rate_factor
from liver_seg_ros.training.slices import is_of_slices
from liver_seg_ros.training.small_maps import compute_small_maps_in_float32

#: How PyTorch's batch norms and instance norms begin their complaint.
_SINGLE = re.compile("more than 1 (value per channel|spatial element)")


class NetworkModule(LightningModule):
    """What a training step does; how long it has run and when it ends is told to it (`callbacks.clock`).

    A loss is that of the recipe's whole batch, however many processes share it: Dice of a batch is not the mean of the
    Dice of its parts, so that logits and labels are gathered first.

    Args:
        recipe: what is trained.
        network: as the recipe builds it.
        loss: what is minimized.
        cases: how many cases are trained on.
        distillation: what is minimized besides.
        max_seconds: the training is done after this time.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        loss: Loss,
        cases: Callable[[], int],
        distillation: Distillation | None = None,
        max_seconds: float = math.inf,
    ) -> None:
        super().__init__()
        self.recipe, self.network = recipe, network
        self._plan, self._loss, self._distillation = recipe.optimization, loss, distillation
        self._cases, self._max_seconds = cases, max_seconds
        self._inputs = inputs_of(recipe)
        self._layout = torch.channels_last if is_of_slices(recipe) else torch.channels_last_3d
        #: Steps, seconds and seconds of processor of earlier runs; those of this one are added as it goes on.
        self.first_step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self.optimizer_state: dict[str, Any] | None = None

    @property
    def cases(self) -> int:
        """How many are trained on."""
        return self._cases()

    @property
    def step(self) -> int:
        """Steps done, those of earlier runs included."""
        return self.first_step + self.trainer.global_step

    @property
    def done(self) -> float:
        """How much of the training is done, 0.0 to 1.0, by steps or by time, whichever is further."""
        return max(self.step / self._plan.steps, self.seconds / self._max_seconds)

    def is_whole_step(self, batch_idx: int) -> bool:
        """Whether the batch was the last of those whose gradients make a step."""
        return (batch_idx + 1) % self._plan.accumulate == 0

    def is_milestone(self, batch_idx: int) -> bool:
        """Whether Dice is measured and the state saved after this batch."""
        return self.is_whole_step(batch_idx) and (self.step % self._plan.validate_every == 0 or self.done >= 1)

    def configure_optimizers(self) -> Optimizer:
        optimizer = create_optimizer(self.network.parameters(), self._plan)
        if self.optimizer_state is not None:
            optimizer.load_state_dict(self.optimizer_state)
        return optimizer

    def on_fit_start(self) -> None:
        if self.device.type == "cpu" and self._plan.precision == "bfloat16":
            compute_small_maps_in_float32(self.network)
        if self._distillation is not None:
            self._distillation.to(self.device)

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of one batch: `network_inputs.tensors_of`, or this process's share of it."""
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self._plan.learning_rate * learning_rate_factor(self.done, self._plan)
        set_training_mode(self.network, fixed_norm=self.done >= self._plan.fixed_norm_from)
        # The step's own random state: a resumed training drops the units that an uninterrupted one would have dropped.
        torch.manual_seed(seed_of(self._plan.seed, self.step, batch_idx % self._plan.accumulate, self.global_rank))
        epoch = self.step * self._plan.batch * self._plan.accumulate // self.cases  # a patch per case is an epoch
        return self.loss_of(batch, epoch)

    def loss_of(self, batch: Mapping[str, Tensor], epoch: int = 0) -> Tensor:
        """What is minimized, a scalar."""
        # A loss that reads more than logits (scales, edges) gets all that the network gives.
        needs_more = self._loss.outputs != ("logits",) and hasattr(self.network, "outputs")
        network: Callable[..., Any] = self.network.outputs if needs_more else self.network  # type: ignore[assignment]
        inputs = [batch[name].contiguous(memory_format=self._layout) for name in self._inputs]
        with refused_single_values(self.recipe):
            prediction = network(*inputs)
        with torch.autocast(self.device.type, enabled=False):
            loss = self._loss(gathered(prediction), gathered(batch["labels"]), epoch)
            if self._distillation is None:
                return loss
            logits = prediction if isinstance(prediction, Tensor) else prediction.logits
            return loss + self._distillation(inputs[0], logits)


@contextmanager
def refused_single_values(recipe: Recipe) -> Iterator[None]:
    """What PyTorch's norms say of one value per channel, which has no spread, as an `InputError` naming the options."""
    try:
        yield
    except ValueError as error:
        if _SINGLE.search(str(error)) is None:
            raise
        plan = recipe.optimization
        raise InputError(
            f"network '{recipe.network['name']}' brings an optimization.patch of {' x '.join(map(str, plan.patch))} "
            f"down to one voxel, and in an optimization.batch of {plan.batch} that is one value per channel, which has "
            "no spread to normalize by; give a batch of 2 or more (devices that share it share its statistics), or a "
            "larger patch"
        ) from error


def set_training_mode(network: nn.Module, fixed_norm: bool) -> None:
    """Put `network` into training mode; with `fixed_norm` its batch norms go on using the statistics they have."""
    network.train()
    if fixed_norm:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def lay_out(network: nn.Module) -> None:
    """Put the filters of convolutions into memory as their fastest kernels want them, channels last."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        elif isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def seed_of(*numbers: int) -> int:
    """A seed of PyTorch's that belongs to these numbers alone."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
