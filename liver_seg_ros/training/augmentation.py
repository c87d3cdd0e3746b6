# SPDX-License-Identifier: Apache-2.0
"""Random changes of a patch, in HU and before normalization; cheap enough to run beside the training on one core."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from liver_seg_ros.labels import LIVER, SEGMENTED, TUMOR
from liver_seg_ros.training.deformation import deform
from liver_seg_ros.training.recipe import AugmentationRecipe

#: Random sizes are multiples of it, which suits networks of up to five levels.
SIZE_STEP = 16

#: Noise and blur cost the most time and are absent from most real CTs: each is applied to this share of the patches.
_SHARE = 0.3


def augment(
    image: NDArray[np.float32], labels: NDArray[np.uint8], recipe: AugmentationRecipe, rng: Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A random variation of one patch.

    Args:
        image: `(K, J, I)` float32 in HU; not changed.
        labels: `(K, J, I)` uint8.
        recipe: how strong.
        rng: the same state gives the same variation.

    Returns:
        Image and labels of the same shapes, C-contiguous.
    """
    image, labels = deform(image, labels, recipe, rng)
    axes = tuple(axis for axis in range(3) if rng.random() < recipe.flip)
    image, labels = np.flip(image, axes), np.flip(labels, axes)
    image = image * np.float32(1 + _around_zero(rng, recipe.scale)) + np.float32(_around_zero(rng, recipe.shift_hu))
    if recipe.tumor_mirror > 0 and rng.random() < recipe.tumor_mirror:
        tumor, liver = labels == TUMOR.value, labels == LIVER.value
        if tumor.any() and liver.any():
            image[tumor] = 2 * np.median(image[liver]) - image[tumor]
    if recipe.structure_shift_hu > 0:
        shifts = np.zeros(256, np.float32)  # per label value
        for structure in SEGMENTED:
            shifts[structure.value] = _around_zero(rng, recipe.structure_shift_hu)
        for value in np.flatnonzero(np.bincount(labels.reshape(-1))):  # other organs, where they are labelled
            if value > max(structure.value for structure in SEGMENTED):
                shifts[value] = _around_zero(rng, recipe.structure_shift_hu)
        image += shifts[labels]
    if rng.random() < _SHARE and recipe.blur_voxels > 0:
        image = gaussian_filter(image, rng.uniform(0, recipe.blur_voxels, size=3), truncate=2.0)
    if rng.random() < _SHARE and recipe.noise_hu > 0:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image += noise * np.float32(rng.uniform(0, recipe.noise_hu))
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(labels)


def random_size(largest: tuple[int, int, int], smallest: float, rng: Generator) -> tuple[int, int, int]:
    """A patch's size: each axis is `largest` half of the time, else any fraction of it from `smallest` on.

    Short scans, scans of one side and scans without a liver come from here. Sizes are rounded to a multiple of
    `SIZE_STEP`, as networks need them; an axis that is to be kept whole is not touched.
    """
    sizes = []
    for n in largest:
        cut = n if rng.random() < 0.5 else n * rng.uniform(smallest, 1)
        sizes.append(n if smallest == 1 else max(1, round(cut / SIZE_STEP)) * SIZE_STEP)
    return sizes[0], sizes[1], sizes[2]


def _around_zero(rng: Generator, largest: float) -> float:
    return float(rng.uniform(-largest, largest))
