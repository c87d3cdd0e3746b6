# SPDX-License-Identifier: Apache-2.0
"""The optimizer that a recipe asks for."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from liver_seg_ros.training import optimization_recipe
from liver_seg_ros.training.optimization_recipe import OptimizationRecipe


def create_optimizer(parameters: Iterable[nn.Parameter], plan: OptimizationRecipe) -> Optimizer:
    """Of PyTorch's, with the recipe's peak learning rate, weight decay and momentum."""
    rate, decay = plan.learning_rate, plan.weight_decay
    if plan.optimizer == optimization_recipe.SGD:
        return SGD(parameters, lr=rate, momentum=plan.momentum, nesterov=plan.nesterov, weight_decay=decay)
    kind = Adam if plan.optimizer == optimization_recipe.ADAM else AdamW
    return kind(parameters, lr=rate, weight_decay=decay)
