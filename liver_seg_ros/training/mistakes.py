# SPDX-License-Identifier: Apache-2.0
"""Where the network that a training begins with is wrong, so that patches can be drawn there.

A network that is trained on knows most of what its phantoms show: patches from anywhere teach it little. Its mistakes
are known beforehand, as the truth is. (The idea is that of hard example mining, Shrivastava et al. 2016, which asks the
network anew at every step; here it is asked once per case, as looking at a whole case costs as much as a few steps.)
"""

from __future__ import annotations

import logging
from functools import cached_property
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from liver_seg_ros.training.beginning import began_with
from liver_seg_ros.training.cases import Case, class_of_values
from liver_seg_ros.training.checkpoint import build_network
from liver_seg_ros.training.hardware import computes_bfloat16
from liver_seg_ros.training.network_module import lay_out
from liver_seg_ros.training.parts import voxels_by_part
from liver_seg_ros.training.prediction import predict_classes
from liver_seg_ros.training.recipe import Recipe

_log = logging.getLogger(__name__)


class Mistakes:
    """The mistakes of a recipe's `initial`.

    Args:
        recipe: whose network, weights and structures these are.

    Raises:
        InputError: (when first asked) the weights are of another network.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._class_of_values = recipe, class_of_values(recipe)

    def centers(self, case: Case, rng: np.random.Generator) -> dict[str, NDArray[np.int64]]:
        """`(N, 3)` voxels `(k, j, i)` for each structure of `optimization.mistakes`; N is 0 where there is none.

        A mistake is a structure's where it was taken for something else, or something else for it.
        """
        network = self._network  # whose logits are checked in float32
        in_bfloat16 = self._recipe.optimization.precision == "bfloat16" and computes_bfloat16()
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):  # half the time, as in training
            found = predict_classes(network, case.image, self._recipe)
        truth = self._class_of_values[case.labels]
        wrong = mistaken(found, truth)
        class_of = {structure.name: index for index, structure in enumerate(self._recipe.structures, 1)}
        return {
            name: _some_of(wrong & ((found == class_of[name]) | (truth == class_of[name])), rng)
            for name in self._recipe.optimization.mistakes
        }

    @cached_property
    def _network(self) -> nn.Module:
        network = build_network(self._recipe)
        lay_out(network)
        _log.info("patches lie where %s is wrong", self._recipe.initial)
        began_with(network, self._recipe.initial, "", logging.DEBUG)  # the training has told it
        return network


def mistaken(found: NDArray[np.integer], truth: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where two arrays of classes, of one shape, differ by more than a border that lies one voxel off.

    That is where what is found is not the truth of any neighbor, or the truth is found at no neighbor; corners count
    as neighbors.
    """
    wrong = np.zeros(found.shape, bool)
    places = np.nonzero(found != truth)  # the few where it can be
    padded = [np.pad(array, 1, mode="edge") for array in (found, truth)]
    near = np.zeros((2, len(places[0])), bool)  # whether a neighbor has the other array's class
    for offset in product(range(3), repeat=found.ndim):
        at = tuple(axis + step for axis, step in zip(places, offset, strict=True))
        near |= np.stack([padded[0][at] == truth[places], padded[1][at] == found[places]])
    wrong[places] = ~near.all(axis=0)
    return wrong


def _some_of(wrong: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """`(N, 3)` voxels; of each connected part as many as the root of its number of voxels.

    The largest would be all that is learned if all voxels counted alike, and the many twigs if all parts did.
    """
    some = [part[rng.integers(len(part), size=round(len(part) ** 0.5))] for part in voxels_by_part(wrong)]
    return np.concatenate([np.empty((0, 3), np.int64), *some])
