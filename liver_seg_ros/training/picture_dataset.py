# SPDX-License-Identifier: Apache-2.0
"""Color pictures as what a training draws from: random parts of them, or the whole where a patch is as large."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from liver_seg_ros.inference.preprocessing import normalize
from liver_seg_ros.training.augmentation import random_size
from liver_seg_ros.training.case_dataset import cut
from liver_seg_ros.training.patch_source import EVERY, Batch
from liver_seg_ros.training.pictures import augment_picture
from liver_seg_ros.training.source_dataset import SourceDataset


class PictureDataset(SourceDataset):
    """The pictures of one part of a split; see `SourceDataset`."""

    def batch(self, rng: Generator, share: slice = EVERY) -> Batch:
        """Images `(B, 3, J, I)` and labels `(B, J, I)`; see `patch_source.PatchSource`."""
        recipe, numbers = self._recipe, list(self._cases)
        i, j, _ = random_size(recipe.optimization.patch, recipe.augmentation.field_of_view, rng)
        each = rng.spawn(recipe.optimization.batch)[share]
        patches = [self._part(numbers[own.integers(len(numbers))], (j, i), own) for own in each]
        images = np.stack([normalize(image, recipe.data.window) for image, _ in patches])
        labels = self._class_of_values[np.stack([labels for _, labels in patches])].astype(np.int64)
        return Batch(images, labels)

    def _part(
        self, number: int, size: tuple[int, int], rng: Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Colors `(3, *size)` and labels `size` of one picture, augmented."""
        case = self._cases[number]
        room = [n - edge for n, edge in zip(case.labels.shape[1:], size, strict=True)]
        corner = [int(rng.integers(min(0, free), max(0, free) + 1)) for free in room]
        image, labels = cut(case.image, (0, *corner), (3, *size)), cut(case.labels, (0, *corner), (1, *size))
        return augment_picture(image.astype(np.float32), labels[0], self._recipe.augmentation, rng)
