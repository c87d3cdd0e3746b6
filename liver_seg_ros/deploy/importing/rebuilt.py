# SPDX-License-Identifier: Apache-2.0
"""A network from the name of its class, its options and its weights."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import nn

from liver_seg_ros.deploy.importing.source import NNUNET, Architecture, TrainedNetwork, Weights
from liver_seg_ros.errors import InputError


def networks_of(told: TrainedNetwork) -> list[nn.Module]:
    """The networks of a source, one for each set of weights.

    Raises:
        InputError: the class does not take these options, or the weights are not those of such a network.
    """
    return [_network(told, weights) for weights in told.weights]


def _network(told: TrainedNetwork, weights: Weights) -> nn.Module:
    architecture = told.architecture
    options: dict[str, Any] = dict(architecture.options)
    if architecture.tool == NNUNET:
        options |= {"input_channels": told.channels, "num_classes": told.classes, "deep_supervision": False}
    for name in architecture.classes_among:
        options[name] = None if options[name] is None else _class_named(options[name])
    try:
        network: nn.Module = _class_named(architecture.name)(**options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise InputError(f"{architecture.name} cannot be built with the options given: {_one_line(error)}") from error
    own = {name.removeprefix("module.").removeprefix("_orig_mod."): tensor for name, tensor in weights.items()}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise InputError(
            f"the weights are not those of the network described ({architecture.name}), so another trainer or version "
            f"made them: {_one_line(error)}"
        ) from error
    return network.eval()


def _class_named(name: str) -> type:
    """A class of PyTorch, MONAI or nnU-Net's library by its whole name; `source` has refused all others."""
    module, _, own = name.rpartition(".")
    if module == "torch.nn" or module.startswith("torch.nn."):
        module = "torch.nn"
    found = getattr(import_module(module), own, None)
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise InputError(f"{name} is no network or layer that is known here")
    return found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def on_disk(told: TrainedNetwork, path: str) -> None:
    """Keep what is needed to build the networks elsewhere: tensors and text only."""
    torch.save(_plain(told), path)


def from_disk(path: str) -> TrainedNetwork:
    """What `on_disk` kept."""
    values = torch.load(path, weights_only=True)
    return TrainedNetwork(**{**values, "architecture": Architecture(**values["architecture"])})


def _plain(told: TrainedNetwork) -> dict[str, Any]:
    values = {**vars(told), "weights": tuple(dict(weights) for weights in told.weights)}
    return {**values, "architecture": dict(vars(told.architecture))}
