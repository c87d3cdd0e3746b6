# SPDX-License-Identifier: Apache-2.0
"""A training's state on disk: enough to go on after a kill, and all that an export needs."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import nn

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.networks import NETWORKS, create_network
from liver_seg_ros.training.provenance import UNSAID
from liver_seg_ros.training.recipe import Recipe, recipe_from_dict
from liver_seg_ros.training.slices import channels, is_of_slices

#: Files of a training's folder: its last state, and that of the highest Dice.
CHECKPOINT, BEST = "checkpoint.pt", "best.pt"


@dataclass
class Checkpoint:
    """A training's state: enough to go on and to export.

    Attributes:
        recipe: what is trained.
        weights: the network's state.
        optimizer: the optimizer's state.
        step: steps done.
        seconds: time spent on them.
        cases: number of cases trained on.
        scores: Dice per structure on the validation cases, as last measured.
        began_with: the bundle whose weights it began with and what that was trained on; empty for random ones.
        images: whose images it has learned from, one of `TRAINING_DATA`, those of the bundle it began with included.
        source: which images, in words; empty where nobody wrote it down.
        data: what else is known of them, see `provenance.Provenance`; of a bundle it began with, `began_with` tells.
        training_weights: what the training goes on with, where `weights` are their average; else empty.
        best: the highest Dice so far, as the recipe's `best_by` takes it; None where none was measured.
        cpu_seconds: of processor, spent on the steps by the process that writes; 0 where nobody measured it.
        origins: see `origins`; empty where nobody wrote them down.
        history: `(step, scores)` of every measurement; of a training that began before there was any, of the rest.
    """

    recipe: Recipe
    weights: dict[str, Any]
    optimizer: dict[str, Any]
    step: int
    seconds: float
    cases: int
    scores: dict[str, float] = field(default_factory=dict)
    began_with: str = ""
    images: str = UNSAID
    source: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    training_weights: dict[str, Any] = field(default_factory=dict)
    best: float | None = None
    cpu_seconds: float = 0.0
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)

    def network(self) -> nn.Module:
        """The trained network, in evaluation mode."""
        network = build_network(self.recipe)
        network.load_state_dict(self.weights)
        return network.eval()


def build_network(recipe: Recipe) -> nn.Module:
    """The recipe's network, freshly initialized, with a class per label of the recipe.

    Raises `InputError` where the recipe names none that can be built, or another number of `classes`.
    """
    classes, names = len(recipe.labels), ", ".join(recipe.labels.values())
    options = {name: value for name, value in recipe.network.items() if name != "name"}
    if channels(recipe) > 1:
        options.setdefault("channels_in", channels(recipe))
    if is_of_slices(recipe) and _has_one_size(recipe.network["name"]):
        options.setdefault("image_size", recipe.optimization.patch[1::-1])
    if options.setdefault("classes", classes) != classes:
        raise InputError(
            f"network.classes {options['classes']!r} does not fit: what this recipe learns are {classes} classes, "
            f"{names}; leave network.classes out or set it to {classes}"
        )
    return create_network(recipe.network["name"], **options)


def _has_one_size(name: str) -> bool:
    """Whether the network is made for images of one size."""
    spec = NETWORKS.get(name)
    return spec is not None and "image_size" in signature(spec.load()).parameters


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint`; a kill while writing leaves the one before."""
    with written_beside(path) as beside, beside.open("wb") as file:  # by Python's file: PyTorch's own hides a full disk
        torch.save({**vars(checkpoint), "recipe": asdict(checkpoint.recipe)}, file)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote. Raises `InputError` where there is none or it is damaged."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return Checkpoint(**{**state, "recipe": recipe_from_dict(state["recipe"], str(path))})
    except FileNotFoundError as error:
        raise InputError(
            f"there is no checkpoint {path}; train first: python -m liver_seg_ros.training.train"
        ) from error
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} is not a readable checkpoint: {str(error).splitlines()[0]}") from error
