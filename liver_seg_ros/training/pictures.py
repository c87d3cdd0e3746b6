# SPDX-License-Identifier: Apache-2.0
"""Color pictures as cases (paper 3's Kvasir-SEG): brought to one size, no millimetres, no HU, three true channels.

A case of a picture has `image` `(3, J, I)`, red, green and blue from 0 to 255, and `labels` `(1, J, I)`.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from liver_seg_ros.training.cases import Case
from liver_seg_ros.training.deformation import deform_channels
from liver_seg_ros.training.recipe import AugmentationRecipe, Recipe
from liver_seg_ros.training.sources.about import POLYP
from liver_seg_ros.training.sources.subject import Picture


def picture_case(picture: Picture, recipe: Recipe) -> Case:
    """The case that a picture is: resampled to the recipe's `data.size`, a pixel polyp where half of it is.

    Sides of other proportions are stretched: the network sees every picture whole. What is made smaller is averaged
    over the pixels that fall together.
    """
    i, j, _ = cast("tuple[int, int, None]", recipe.data.size)  # as the recipe has checked
    colors = _resized(torch.from_numpy(picture.rgb).permute(2, 0, 1), (j, i))
    mask = _resized(torch.from_numpy(picture.mask)[None], (j, i)) >= 0.5
    return Case(colors.round().numpy().astype(np.int16), mask.numpy().astype(np.uint8) * np.uint8(POLYP.value))


def augment_picture(
    image: NDArray[np.float32], labels: NDArray[np.uint8], recipe: AugmentationRecipe, rng: Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A random variation of a picture or a part of one, its colors as they are.

    Args:
        image: `(3, J, I)` float32.
        labels: `(J, I)` uint8.
        recipe: of which `flip`, `rotate_degrees`, `zoom` and `translate_voxels` count.
        rng: the same state gives the same variation.

    Returns:
        Both in the same shapes, C-contiguous.
    """
    moved, moved_labels = deform_channels(image[:, None], labels[None], recipe, rng)  # a slice of three channels
    image, labels = moved[:, 0], moved_labels[0]
    axes = tuple(axis for axis in (-2, -1) if rng.random() < recipe.flip)
    return np.ascontiguousarray(np.flip(image, axes)), np.ascontiguousarray(np.flip(labels, axes))


def _resized(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """`(C, J, I)` of any type to `(C, *size)` float32."""
    return interpolate(planes[None].float(), size, mode="bilinear", antialias=True)[0]
