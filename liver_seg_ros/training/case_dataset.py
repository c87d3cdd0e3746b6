# SPDX-License-Identifier: Apache-2.0
"""Patches for training, drawn from the cases that are on disk, phantoms' or those of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import edt
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box
from liver_seg_ros.inference.canny import canny_map
from liver_seg_ros.inference.preprocessing import normalize
from liver_seg_ros.labels import structure_by_name
from liver_seg_ros.training.augmentation import augment, random_size
from liver_seg_ros.training.cases import Case, class_of_values, read_case
from liver_seg_ros.training.network_inputs import EDGES, inputs_of
from liver_seg_ros.training.parts import voxels_by_part
from liver_seg_ros.training.patch_source import EVERY, Batch
from liver_seg_ros.training.provenance import Provenance
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.slices import ONE_SLICE, is_of_slices

Scalar = TypeVar("Scalar", bound=np.generic)

#: Structure -> voxels of a case, chosen by chance.
Centers = dict[str, NDArray[np.int64]]
Mistaken = Callable[[Case, Generator], Centers]

#: Voxels remembered per connected part of a structure as possible patch centers.
_CENTERS_PER_PART = 100


class CaseDataset:
    """Cases that are on disk, kept in memory, and random patches of them; see `patch_source.PatchSource`.

    Cases may still be written while a training runs: `refresh` takes in what has landed.

    Args:
        paths: gives number -> file of the cases that this data set may use and that are there.
        recipe: what the patches look like.
        provenance: gives what is known of so many cases, for the model card.
        missing: what to say where there is none.
        mistakes: gives the voxels `(N, 3)` of a case that were labeled wrongly, for each structure of the recipe's
            `optimization.mistakes`; asked when the first such patch of a case is drawn.

    Raises:
        InputError: a case is damaged, or there is none.
    """

    def __init__(
        self,
        paths: Callable[[], Mapping[int, Path]],
        recipe: Recipe,
        provenance: Callable[[int], Provenance],
        missing: str,
        mistakes: Mistaken | None = None,
    ) -> None:
        self._mistakes = mistakes
        self._paths, self._recipe, self._provenance, self._missing = paths, recipe, provenance, missing
        self._class_of_values, self._is_of_slices = class_of_values(recipe), is_of_slices(recipe)
        self._inputs = inputs_of(recipe)
        self._cases: dict[int, Case] = {}
        self._centers: dict[int, Centers] = {}
        self._wrong: dict[int, Centers] = {}
        self.refresh()

    def __len__(self) -> int:
        return len(self._cases)

    @property
    def cases(self) -> Mapping[int, Case]:
        """Number -> case, in the order of numbers."""
        return self._cases

    @property
    def provenance(self) -> Provenance:
        """Whose images these are, for the model card."""
        return self._provenance(len(self))

    def refresh(self) -> None:
        """Read the cases that have been written since. Raises `InputError` where one is damaged or there is none."""
        for number, path in self._paths().items():
            if number not in self._cases:
                self._cases[number] = read_case(path)
                self._centers[number] = self._possible_centers(number)
        self._cases = dict(sorted(self._cases.items()))
        if not self._cases:
            raise InputError(self._missing)

    def batch(self, rng: Generator, share: slice = EVERY) -> Batch:
        """Random patches of random cases; see `patch_source.PatchSource`."""
        recipe, numbers = self._recipe, list(self._cases)
        k, j, i = random_size(recipe.optimization.patch, recipe.augmentation.field_of_view, rng)[::-1]
        size = (ONE_SLICE, j, i) if self._is_of_slices else (k, j, i)
        each = rng.spawn(recipe.optimization.batch)[share]  # a patch's own, so that processes may share a batch
        patches = [self._patch(numbers[own.integers(len(numbers))], size, own) for own in each]
        images = np.stack([normalize(image, recipe.data.window) for image, _ in patches])
        labels = self._class_of_values[np.stack([labels for _, labels in patches])].astype(np.int64)
        middle = recipe.data.neighbors
        edges = canny_map(images[:, middle])[:, None] if EDGES in self._inputs else None
        if self._is_of_slices:
            return Batch(images, labels[:, middle], edges)
        return Batch(images[:, None], labels, edges)

    def _patch(self, number: int, size: tuple[int, int, int], rng: Generator) -> tuple[NDArray[Any], NDArray[Any]]:
        """Image in HU and labels of one case, `(K, J, I)` = `size` and the recipe's neighbors, augmented."""
        case, center = self._cases[number], self._center(number, rng)
        corner = []
        for axis, (n, edge) in enumerate(zip(case.image.shape, size, strict=True)):
            at = int(rng.integers(min(0, n - edge), max(0, n - edge) + 1))  # anywhere, padded where the case is smaller
            if center is not None and n > edge:
                # The structure's voxel anywhere in the patch but its outer quarters, which see the least around them.
                at = int(np.clip(center[axis] - rng.integers(edge // 4, edge - edge // 4), 0, n - edge))
            corner.append(at)
        neighbors = self._recipe.data.neighbors  # 0 but for networks of slices
        corner[0], size = corner[0] - neighbors, (size[0] + 2 * neighbors, *size[1:])
        image, labels = cut(case.image, corner, size), cut(case.labels, corner, size)
        return augment(image.astype(np.float32), labels, self._recipe.augmentation, rng)

    def _center(self, number: int, rng: Generator) -> NDArray[np.int64] | None:
        """A voxel `(k, j, i)` of a structure that the recipe focuses on, or a mistake, or None for "anywhere"."""
        draw, plan = rng.random(), self._recipe.optimization
        for shares, centers_of in ((plan.focus, self._centers.__getitem__), (plan.mistakes, self._mistaken)):
            for name, share in shares.items():
                if draw < share:
                    centers = centers_of(number)[name]
                    return centers[rng.integers(len(centers))] if len(centers) else None
                draw -= share
        return None

    def _mistaken(self, number: int) -> Centers:
        if number not in self._wrong:
            none = dict.fromkeys(self._recipe.optimization.mistakes, np.empty((0, 3), np.int64))
            rng = np.random.default_rng(number)
            self._wrong[number] = none if self._mistakes is None else self._mistakes(self._cases[number], rng)
        return self._wrong[number]

    def _possible_centers(self, number: int) -> Centers:
        """(N, 3) voxels `(k, j, i)` per structure in focus; N is 0 where the case has none.

        Every connected part is represented by as many voxels, or the largest tumor would be all that is ever learned.
        """
        rng = np.random.default_rng(number)
        centers = {}
        for name in self._recipe.optimization.focus:
            mask = self._cases[number].labels == structure_by_name(name).value
            depth = self._depth(mask)
            some = [self._some_of(part, depth, rng) for part in voxels_by_part(mask)]
            centers[name] = np.concatenate([np.empty((0, 3), np.int64), *some])
        return centers

    def _depth(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(K, J, I) depth under a structure's surface, in voxels; zeros where the recipe does not ask for it."""
        depth, box = np.zeros(mask.shape, np.float32), Box.around(mask)
        if self._recipe.optimization.deep_centers and box is not None:
            part = box.padded((1, 1, 1), mask.shape[::-1]).slices  # with the voxels that end it
            depth[part] = edt.edt(mask[part], parallel=1)
        return depth

    def _some_of(self, part: NDArray[np.int64], depth: NDArray[np.float32], rng: Generator) -> NDArray[np.int64]:
        """`_CENTERS_PER_PART` of the voxels `part` `(V, 3)`, the recipe's share of them the deeper the likelier."""
        deep = round(self._recipe.optimization.deep_centers * _CENTERS_PER_PART)
        some = part[rng.integers(len(part), size=_CENTERS_PER_PART - deep)]
        if deep == 0:
            return some
        weight = depth[tuple(part.T)].astype(np.float64) ** 2
        return np.concatenate([some, part[rng.choice(len(part), deep, p=weight / weight.sum())]])


def cut(array: NDArray[Scalar], corner: Sequence[int], size: Sequence[int]) -> NDArray[Scalar]:
    """The part of `array` of `size` whose first voxel is `corner` (may be negative).

    What lies outside repeats the outermost voxels, image and labels alike: that is how inference fills its windows.
    """
    inside = tuple(slice(max(0, c), max(0, c + n)) for c, n in zip(corner, size, strict=True))
    part = array[inside]
    before = [max(0, -c) for c in corner]
    padding = [(b, n - b - have) for b, n, have in zip(before, size, part.shape, strict=True)]
    return np.pad(part, padding, mode="edge")
