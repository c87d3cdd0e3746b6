# SPDX-License-Identifier: Apache-2.0
"""The part of a recipe that says how the weights are found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import StrictBool

from liver_seg_ros.checked_fields import Number, Valid, Whole, check_fields
from liver_seg_ros.errors import InputError
from liver_seg_ros.training.data_recipe import STRUCTURES, UPWARD, shares_of

#: What a training may compute in, by PyTorch's names; what comes of it is always stored in float32.
DTYPES = ("float32", "bfloat16", "float16")
ADAMW, ADAM, SGD = OPTIMIZERS = ("adamw", "adam", "sgd")
COSINE, POLY, STEP, CONSTANT = SCHEDULES = ("cosine", "poly", "step", "constant")
#: `best_by` that takes all structures.
MEAN = "mean"

_ONE_OR_MORE = Valid("a whole number from 1 upward", lambda value: value >= 1)
_ONE_OR_MORE_OR_NULL = Valid("a whole number from 1 upward, or null", lambda value: value is None or value >= 1)
_FRACTION = Valid.between(0, 1, "a fraction")
_SIZES = Valid("three positive sizes in voxels, [i, j, k]", lambda sizes: min(sizes) > 0)
_WINDOW = Valid(f"{_SIZES.words}, or null", lambda sizes: sizes is None or min(sizes) > 0)
_BELOW_ONE = Valid("a fraction from 0 to below 1", lambda value: 0 <= value < 1)
_DECAY = Valid("a fraction above 0 and below 1, or null", lambda value: value is None or 0 < value < 1)
_LENGTH = Valid("a positive length or null", lambda value: value is None or value > 0)
_FOCUS = Valid(
    f"shares, together at most 1, of some of {', '.join(STRUCTURES)}",
    lambda focus: not focus or (shares_of(STRUCTURES).check(focus) and sum(focus.values()) <= 1),
)


@dataclass(frozen=True)
class OptimizationRecipe:
    """How the weights are found.

    Attributes:
        patch: size in voxels of what the network sees at once; [i, j, 1] for a network of slices.
        batch: patches that are fed at once, over all devices together.
        steps: length of the training; `--max-minutes` ends it earlier, with the schedule shortened to fit.
        learning_rate: at the peak.
        weight_decay: of the optimizer; with Adam and SGD it is a part of the gradient, with AdamW it is not.
        precision: one of `DTYPES`: "bfloat16" halves the time where the CPU has it (avx512_bf16, amx) and multiplies
            it elsewhere; "float16" is for GPUs that have no bfloat16.
        fixed_norm_from: share of the training after which batch norms keep their statistics. Few patches per batch
            let a network lean on the statistics of the batch it is in, which inference does not have; the rest of the
            training teaches it to do without.
        focus: share of the patches that are centered on a voxel of a structure; the rest lie anywhere.
        validate_every: steps between two measurements of Dice, each followed by a checkpoint.
        seed: of the weights and of the order of patches.
        deep_centers: share of those centers that are drawn in proportion to the square of their depth under the
            structure's surface. Thick vessels are few among the many thin ones, and their inside looks like what is
            outside the liver: a network that hardly sees it calls it background.
        mistakes: share of the patches that are centered on a mistake of the recipe's `initial`, by structure: a voxel
            of it that was taken for something else, or the other way round; see `mistakes`.
        optimizer: one of `OPTIMIZERS`.
        momentum: of SGD.
        nesterov: whether SGD's momentum looks ahead.
        schedule: how the learning rate falls, one of `SCHEDULES`; see `schedules`.
        warm_up: share of the training in which it rises to its peak first.
        power: of the schedule "poly".
        step_length: of the schedule "step", steps between two falls.
        step_factor: of the schedule "step", by which it falls.
        clip_norm: longest gradient; null lets any pass.
        accumulate: batches whose gradients are averaged for one step.
        ema: decay of the exponential moving average of weights, over the steps, that is validated and exported in place
            of the weights themselves; null averages nothing.
        window: size in voxels of the windows that validation slides over a case; null takes a case whole where the
            network can, and windows of `patch` where its position embedding is made for one size.
        best_by: the structure by whose Dice `best.pt` is chosen, or the mean of all.
    """

    patch: Annotated[tuple[Whole, Whole, Whole], _SIZES]
    batch: Annotated[Whole, _ONE_OR_MORE]
    steps: Annotated[Whole, _ONE_OR_MORE]
    learning_rate: Annotated[Number, UPWARD]
    weight_decay: Annotated[Number, UPWARD] = 1e-4
    precision: Annotated[str, Valid.one_of(DTYPES)] = "float32"
    fixed_norm_from: Annotated[Number, _FRACTION] = 0.5
    focus: Annotated[dict[str, Number], _FOCUS] = field(default_factory=dict)
    validate_every: Annotated[Whole, _ONE_OR_MORE] = 250
    seed: Annotated[Whole, UPWARD] = 0
    deep_centers: Annotated[Number, _FRACTION] = 0.0
    mistakes: Annotated[dict[str, Number], _FOCUS] = field(default_factory=dict)
    optimizer: Annotated[str, Valid.one_of(OPTIMIZERS)] = ADAMW
    momentum: Annotated[Number, _BELOW_ONE] = 0.9
    nesterov: Annotated[StrictBool, Valid("true or false")] = False
    schedule: Annotated[str, Valid.one_of(SCHEDULES)] = COSINE
    warm_up: Annotated[Number, _BELOW_ONE] = 0.05
    power: Annotated[Number, UPWARD] = 0.9
    step_length: Annotated[Whole | None, _ONE_OR_MORE_OR_NULL] = None
    step_factor: Annotated[Number, _FRACTION] = 0.5
    clip_norm: Annotated[Number | None, _LENGTH] = 5.0
    accumulate: Annotated[Whole, _ONE_OR_MORE] = 1
    ema: Annotated[Number | None, _DECAY] = None
    window: Annotated[tuple[Whole, Whole, Whole] | None, _WINDOW] = None
    best_by: Annotated[str, Valid.one_of((MEAN, *STRUCTURES))] = MEAN

    def __post_init__(self) -> None:
        check_fields(self)
        if sum((*self.focus.values(), *self.mistakes.values())) > 1:
            raise InputError(f"the shares of focus {self.focus} and mistakes {self.mistakes} are more than 1 together")
        if (self.schedule == STEP) != (self.step_length is not None):
            raise InputError(f"step_length belongs to the schedule '{STEP}', and this is '{self.schedule}'")
        if self.nesterov and (self.optimizer != SGD or self.momentum == 0):
            raise InputError(f"nesterov belongs to the optimizer '{SGD}' with a momentum")
