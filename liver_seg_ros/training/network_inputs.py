# SPDX-License-Identifier: Apache-2.0
"""What a recipe's network takes: images, and with some their edges; volumes or slices."""

from __future__ import annotations

import torch
from torch import Tensor

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks import NETWORKS
from liver_seg_ros.training.patch_source import Batch
from liver_seg_ros.training.recipe import PICTURE, Recipe
from liver_seg_ros.training.slices import ONE_SLICE, is_of_slices

#: Names of a network's inputs, as its row in the registry has them.
IMAGE, EDGES = "image", "edges"


def inputs_of(recipe: Recipe) -> tuple[str, ...]:
    """Names of what the recipe's network takes, in order; of a network that there is not, an image."""
    spec = NETWORKS.get(recipe.network["name"])
    return (IMAGE,) if spec is None else spec.inputs


def tensors_of(batch: Batch) -> dict[str, Tensor]:
    """The batch as tensors by name: `IMAGE`, `EDGES` where it has them, "labels"."""
    named = {IMAGE: batch.images, EDGES: batch.edges, "labels": batch.labels}
    return {name: torch.from_numpy(array) for name, array in named.items() if array is not None}


def check_fits(recipe: Recipe) -> None:
    """Raise `InputError` where the network takes other inputs than this training feeds it."""
    name = recipe.network["name"]
    spec = NETWORKS.get(name)
    if spec is None:
        return  # said where it is built
    unknown = [other for other in spec.inputs if other not in (IMAGE, EDGES)]
    if unknown:
        raise InputError(f"network '{name}' takes {unknown[0]}, and this training feeds images and their edges")
    if recipe.stage == PICTURE and EDGES in spec.inputs:
        raise InputError(f"network '{name}' takes the {EDGES} of a CT's slices, and this recipe feeds color pictures")
    if len(spec.size) == 2 and not is_of_slices(recipe):
        volumetric = ", ".join(sorted(other for other, row in NETWORKS.items() if len(row.size) == 3))
        raise InputError(
            f"network '{name}' takes slices, and this training feeds volumes; there are {volumetric}; for slices give "
            f"optimization.patch: [i, j, {ONE_SLICE}]"
        )
    if len(spec.size) == 3 and is_of_slices(recipe):
        raise InputError(f"network '{name}' takes volumes; give an optimization.patch of more than {ONE_SLICE} slice")
