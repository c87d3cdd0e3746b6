# SPDX-License-Identifier: Apache-2.0
"""What a training minimizes: every loss by name, and the one that the shipped networks were trained with.

To add one: a function in `common_losses.py` or `paper_losses.py` and a row here. Those files, and MONAI with them, are
imported only when one of their losses is created.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from liver_seg_ros.errors import InputError


@dataclass(frozen=True)
class LossSpec:
    """One row of the table.

    Attributes:
        target: "file:function" in this package; its keyword-only arguments are the options.
        source: where it is described.
        outputs: fields of the network's outputs that the function takes, in order, before the target.
        options: what makes this variant; a caller's options come on top.
    """

    target: str
    source: str
    outputs: tuple[str, ...] = ("logits",)
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Callable[..., Tensor]:
        """The function."""
        file, name = self.target.split(":")
        function: Callable[..., Tensor] = getattr(import_module(f"liver_seg_ros.training.{file}"), name)
        return function


LOSSES: dict[str, LossSpec] = {
    "dice_ce": LossSpec("common_losses:dice_and_cross_entropy", "nnU-Net (Isensee et al. 2021); what is shipped"),
    "dice": LossSpec("common_losses:soft_dice", "Milletari et al. 2016; paper 2 (UCA-Net), section 3.1"),
    "ce": LossSpec("common_losses:weighted_cross_entropy", "cross-entropy per voxel"),
    "balanced_ce": LossSpec("common_losses:class_balanced_cross_entropy", "Xie & Tu 2015, equation 2"),
    "tversky": LossSpec("common_losses:tversky", "Salehi et al. 2017"),
    "cl_dice": LossSpec("common_losses:soft_cl_dice", "Shit et al. 2021"),
    "dice_cl_dice": LossSpec("common_losses:dice_and_cl_dice", "Shit et al. 2021, equation 3"),
    "deep_supervision": LossSpec(
        "common_losses:deep_supervision", "UNet++ (Zhou et al. 2018), section 3.2", ("logits", "sides")
    ),
    "transfusionnet": LossSpec("paper_losses:transfusionnet", "paper 1, equation 8"),
    "transfusionnet_edge": LossSpec(
        "paper_losses:transfusionnet_edge", "paper 1, equation 11", ("logits", "edge_logits")
    ),
    "unet_aspp": LossSpec("paper_losses:unet_aspp", "paper 3, section 5"),
    "threedynet": LossSpec("paper_losses:threedynet", "paper 4, equation 3"),
    "mpunet": LossSpec("paper_losses:mpunet", "paper 5, equation 19", ("logits", "scales")),
}


@dataclass(frozen=True)
class Loss:
    """A loss with its options: `loss(network(image), target)`, or with `network.outputs(image)` where it needs more.

    Attributes:
        name: its row in `LOSSES`.
        function: what computes it, options bound.
        outputs: fields of the network's outputs that it takes.
        has_schedule: it depends on the epoch.
    """

    name: str
    function: Callable[..., Tensor]
    outputs: tuple[str, ...]
    has_schedule: bool

    def __call__(self, prediction: Any, target: Tensor, epoch: int = 0) -> Tensor:
        """A scalar to minimize.

        Args:
            prediction: logits `(B, C, *size)`, or a named tuple of a network's outputs whose field `logits` they are.
            target: `(B, *size)` int64, 0 to C - 1.
            epoch: how often the training has seen its data, for the losses that change with it.

        Raises:
            InputError: a size or label that does not fit, or an output that the network does not have.
        """
        named = {"logits": prediction} if isinstance(prediction, Tensor) else prediction._asdict()
        named = {key: value for key, value in named.items() if value is not None}
        missing = [name for name in self.outputs if name not in named]
        if missing:
            raise InputError(
                f"loss '{self.name}' needs the outputs {', '.join(self.outputs)}; the network gave {', '.join(named)}"
            )
        check_target(named["logits"], target)
        tensors = [named[name] for name in self.outputs]
        return self.function(*tensors, target, epoch=epoch) if self.has_schedule else self.function(*tensors, target)


def create_loss(name: str, **options: Any) -> Loss:
    """The loss called `name`.

    Args:
        name: a key of `LOSSES`.
        options: keyword arguments of its function; they override those of the row.

    Raises:
        InputError: no such loss, an option that it does not have, or a value that cannot be one.
    """
    if name not in LOSSES:
        raise InputError(f"unknown loss '{name}'; there are: {', '.join(sorted(LOSSES))}")
    spec = LOSSES[name]
    function = spec.load()
    keywords = {key: p for key, p in signature(function).parameters.items() if p.kind is Parameter.KEYWORD_ONLY}
    known = [key for key in keywords if key != "epoch"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(f"loss '{name}' has no option {', '.join(unknown)}; it has: {', '.join(known) or 'none'}")
    bound = {**spec.options, **options}
    for key, value in bound.items():
        _check_option(name, key, value, keywords[key].default)
    return Loss(name, partial(function, **bound), spec.outputs, "epoch" in keywords)


def check_target(logits: Tensor, target: Tensor) -> None:
    """Raise `InputError` where `target` is not `(B, *size)` for logits `(B, C, *size)`, with values 0 to C - 1."""
    expected = (logits.shape[0], *logits.shape[2:])
    if target.shape != expected:
        raise InputError(
            f"a target of shape {tuple(target.shape)} does not fit logits {tuple(logits.shape)}: {expected}"
        )
    if target.dtype != torch.int64:
        raise InputError(f"a target holds class indices, int64, not {target.dtype}")
    low, high = (int(bound) for bound in target.aminmax())
    if low < 0 or high >= logits.shape[1]:
        wrong = low if low < 0 else high
        raise InputError(f"label {wrong} is not in the table, whose labels are 0 to {logits.shape[1] - 1}")


def _check_option(loss: str, key: str, value: Any, default: Any) -> None:
    """Numbers where the default is one; weights, powers and counts are all 0 or more."""
    if isinstance(default, bool):
        fits, kind = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        fits, kind = (
            isinstance(value, int) and not isinstance(value, bool) and value >= 0,
            "a whole number from 0 upward",
        )
    elif isinstance(default, float):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits, kind = is_number and isfinite(value) and value >= 0, "a number from 0 upward"
    else:
        return
    if not fits:
        raise InputError(f"loss '{loss}': {key} must be {kind}, not {value!r}")
