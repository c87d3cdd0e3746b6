# SPDX-License-Identifier: Apache-2.0
"""Patches turned, scaled, shifted and made coarser, as the papers do it: MONAI's transforms, loaded where asked for.

Image and labels are moved together, the image linearly, the labels by nearest neighbors. What comes into view repeats
the outermost voxels, as `case_dataset.cut` has it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from liver_seg_ros.training.recipe import AugmentationRecipe

_SEEDS = 2**31


def deform(
    image: NDArray[np.float32], labels: NDArray[np.uint8], recipe: AugmentationRecipe, rng: Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A random turn, zoom, shift and loss of resolution of one patch; nothing is drawn from `rng` where all are off.

    Args:
        image: `(K, J, I)` float32.
        labels: `(K, J, I)` uint8.
        recipe: `rotate_degrees`, `zoom`, `translate_voxels` and `low_resolution` count.
        rng: the same state gives the same result.

    Returns:
        Image and labels of the same shapes; new arrays, or those given where nothing is on.
    """
    given = image[None]
    channels, labels = deform_channels(given, labels, recipe, rng)
    return (image if channels is given else channels[0]), labels


def deform_channels(
    image: NDArray[np.float32], labels: NDArray[np.uint8], recipe: AugmentationRecipe, rng: Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """As `deform`, of an image of several channels `(C, K, J, I)`, which are moved together."""
    if recipe.rotate_degrees or recipe.zoom or recipe.translate_voxels:
        transform = _affine(recipe.rotate_degrees, recipe.zoom, recipe.translate_voxels)
        transform.set_random_state(seed=int(rng.integers(_SEEDS)))
        moved = transform({"image": torch.from_numpy(image), "labels": torch.from_numpy(labels)[None]})
        image, labels = _array(moved["image"]).astype(np.float32), _array(moved["labels"])[0].astype(np.uint8)
    if recipe.low_resolution < 1:
        coarser = _low_resolution(recipe.low_resolution)
        coarser.set_random_state(seed=int(rng.integers(_SEEDS)))
        image = _array(coarser(torch.from_numpy(image))).astype(np.float32)
    return image, labels


@cache
def _affine(rotate_degrees: float, zoom: float, translate_voxels: float) -> Any:
    from monai.transforms.spatial.dictionary import RandAffined  # takes seconds to load: only where it is asked for

    return RandAffined(
        ("image", "labels"),
        prob=1.0,
        rotate_range=(np.deg2rad(rotate_degrees), 0.0, 0.0),  # about k: within the slice
        translate_range=(translate_voxels,) * 3,
        scale_range=(zoom,) * 3,
        mode=("bilinear", "nearest"),
        padding_mode="border",
    )


@cache
def _low_resolution(smallest: float) -> Any:
    from monai.transforms.spatial.array import RandSimulateLowResolution

    return RandSimulateLowResolution(prob=1.0, zoom_range=(smallest, 1.0), align_corners=None)


def _array(tensor: Any) -> NDArray[Any]:
    return np.asarray(torch.as_tensor(tensor).numpy())
