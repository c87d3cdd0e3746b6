# SPDX-License-Identifier: Apache-2.0
"""How the learning rate goes over a training: a function of how much of it is done, so that time can shorten it."""

from __future__ import annotations

import math

from liver_seg_ros.training.optimization_recipe import CONSTANT, COSINE, POLY, OptimizationRecipe

#: The first step of a rise is taken at this share of the training, for a rate of 0 teaches nothing.
_BEGIN = 0.001


def learning_rate_factor(done: float, plan: OptimizationRecipe) -> float:
    """Share of the peak learning rate when `done` (0 to 1) of the training is.

    A linear rise over `warm_up`, then, with x the done part of what is left of the training:

        cosine    (1 + cos(pi x)) / 2
        poly      (1 - x) ** power
        step      step_factor ** (whole multiples of step_length done, warm-up included)
        constant  1
    """
    if done < plan.warm_up:
        return (done + _BEGIN) / (plan.warm_up + _BEGIN)
    x = min(1.0, (done - plan.warm_up) / (1 - plan.warm_up))
    if plan.schedule == COSINE:
        return 0.5 * (1 + math.cos(math.pi * x))
    if plan.schedule == POLY:
        return float((1 - x) ** plan.power)
    if plan.schedule == CONSTANT or plan.step_length is None:
        return 1.0
    # A hair more, for done is a quotient of whole steps.
    return float(plan.step_factor ** math.floor(min(1.0, done) * plan.steps / plan.step_length + 1e-9))
