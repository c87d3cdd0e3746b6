# SPDX-License-Identifier: Apache-2.0
"""Training cases: CTs with their truth at a network's spacing, resampled as inference does it, kept on disk.

A phantom's case depends on its seed and on the recipe's `stage` and `data`. It is stored as `<folder>/<seed>.npz`; the
folder is named after that part of the recipe, so that a changed recipe never meets cases made for another one. (It
cannot know of a changed phantom: delete the cache then.) Cases of data sets: `source_cases`.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry, Vector
from liver_seg_ros.inference.input_spec import spacing_of
from liver_seg_ros.inference.resampling import resample_labels_to, resample_to_spacing
from liver_seg_ros.labels import BACKGROUND, LIVER
from liver_seg_ros.orientation import to_canonical
from liver_seg_ros.phantom import Phantom, PhantomOptions, generate_phantom
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.volume import LabelVolume, Volume

#: What of a recipe's `data` a phantom's case depends on: always, and where it is given. (The window is applied later.)
_OF_PHANTOMS = ("spacing_mm", "margin_mm", "phases", "tumor_count", "variations")
_GIVEN = ("structures", "size", "coarse_scans")


@dataclass(frozen=True, eq=False)
class Case:
    """One patient or phantom as the network's input grid has it, axes canonical (left, posterior, superior).

    Of color pictures see `pictures`.

    Attributes:
        image: `(K, J, I)` int16, HU.
        labels: `(K, J, I)` uint8, values of the label table; in stages "localize" and
            "surround" 1 is the whole liver with all in it.
    """

    image: NDArray[np.int16]
    labels: NDArray[np.uint8]

    __repr__ = short_repr


def case_folder(cache: Path, recipe: Recipe) -> Path:
    """Where the cases of `recipe` are kept under `cache`. The seeds chosen make no difference, the rest of it does."""
    data = {name: value for name, value in asdict(recipe.data).items() if name in _OF_PHANTOMS}
    # Only where they are given, so that caches from before there were any are found.
    data |= {name: value for name in _GIVEN if (value := getattr(recipe.data, name)) is not None}
    return cache / f"{recipe.stage}-{digest_of([recipe.stage, data])}"


def digest_of(values: Any) -> str:
    """Eight characters that tell plain values from others."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def make_case(seed: int, recipe: Recipe) -> Case:
    """The case of phantom `seed`: the same seed and recipe give the same arrays."""
    phantom = phantom_of(seed, recipe)
    return case_of(phantom.ct, phantom.surroundings or phantom.labels, recipe)


def phantom_of(seed: int, recipe: Recipe) -> Phantom:
    """Phantom `seed` as the recipe's scanner sees it."""
    return generate_phantom(seed, _scan(recipe, np.random.default_rng((seed, 1))))


def case_of(ct: Volume, labels: LabelVolume, recipe: Recipe) -> Case:
    """The case that a CT and its truth are, whoever made them.

    Args:
        ct: in any orientation.
        labels: on its grid, as `truth.as_truth` has them: 1 liver, 2 tumor, 3 vessels inside the organ, nothing else;
            in stage "surround" the other organs too.
        recipe: of which `stage` and `data.margin_mm`, `spacing_mm`, `size` and `structures` count.

    Raises:
        InputError: the two are not on one grid.
    """
    if not ct.geometry.is_same_grid(labels.geometry):
        raise InputError(f"a CT of {ct.geometry} and labels of {labels.geometry}: give both on one grid")
    box = Box((0, 0, 0), ct.geometry.size)
    liver = Box.around(labels.array)
    if recipe.data.margin_mm is not None and liver is not None:
        i, j, k = (round(recipe.data.margin_mm / s) for s in ct.geometry.spacing_mm)
        box = liver.padded((i, j, k), box.stop)
    ct, labels = ct.crop(box), labels.crop(box)
    axes = to_canonical(ct.geometry)
    grid = axes.apply_to_geometry(ct.geometry)
    image, coarse = resample_to_spacing(
        axes.apply(ct.array), grid, spacing_of(recipe.data.size, recipe.data.grid_mm, grid)
    )
    truth = _kept_values(recipe)[axes.apply(labels.array)]
    return Case(np.rint(image).astype(np.int16), resample_labels_to(truth, grid, coarse))


def class_of_values(recipe: Recipe) -> NDArray[np.uint8]:
    """(256,) the network's class for each value in a case: the same where it learns all structures of its stage."""
    table = np.full(256, BACKGROUND, np.uint8)
    for index, structure in enumerate(recipe.structures, 1):
        table[structure.value] = index
    return table


def _kept_values(recipe: Recipe) -> NDArray[np.uint8]:
    """(256,) what each label value is in a case: what is not learned is liver where that is, else background."""
    table = np.full(256, LIVER.value if LIVER in recipe.structures else BACKGROUND, np.uint8)
    table[BACKGROUND] = BACKGROUND
    for structure in recipe.structures:
        table[structure.value] = structure.value
    return table


def write_case(path: Path, case: Case) -> None:
    """Write `case` as .npz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as beside:
        np.savez_compressed(beside, image=case.image, labels=case.labels)


def read_case(path: Path) -> Case:
    """Read what `write_case` wrote. Raises `InputError` where the file is damaged."""
    try:
        with np.load(path) as arrays:
            return Case(arrays["image"], arrays["labels"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read the training case {path}: {error}; delete it and generate it again") from error


def case_path(folder: Path, seed: int) -> Path:
    """Where the case of `seed` is kept in `folder`."""
    return folder / f"{seed:05d}.npz"


def _scan(recipe: Recipe, rng: Generator) -> PhantomOptions:
    """A random scan: what a hospital might have made, with a field of view that suits the stage."""
    phases, shares = zip(*(recipe.data.phases or {}).items(), strict=True)
    phase = rng.choice(phases, p=np.array(shares) / sum(shares))
    if recipe.stage == "segment":
        # Around the liver only: a whole abdomen costs four times as much and would be cut away.
        in_plane = rng.uniform(0.7, 1.0)
        slice_mm = float(np.clip(rng.lognormal(np.log(1.4), 0.45), 0.8, 5.0))
        extent: Vector = (290.0, 250.0, 250.0)
        center: Vector | None = (0.0, 0.0, 0.0)
    else:
        # Twice the resolution of a coarse network is enough to keep its partial volume realistic.
        in_plane = rng.uniform(1.8, 2.4)
        slice_mm = rng.uniform(2.0, 5.0)
        side = rng.uniform(320, 460)
        extent = (side, side, rng.uniform(200, 440))
        center = None
    # As with the variation below, not drawn where there is no choice.
    if recipe.data.coarse_scans and rng.random() < recipe.data.coarse_scans:
        in_plane, slice_mm = rng.uniform(2.0, 3.5), float(rng.uniform(2.0, 5.0))
    spacing = (float(in_plane), float(in_plane), slice_mm)
    grid = Geometry((1, 1, 1), extent).resampled(spacing)  # as many voxels as fill the extent
    tumors = recipe.data.tumor_count and int(rng.integers(recipe.data.tumor_count[0], recipe.data.tumor_count[1] + 1))
    variations, shares = zip(*recipe.data.variations.items(), strict=True)
    # Not drawn where there is no choice, so that recipes from before there was one go on making the same cases.
    variation = variations[0] if len(variations) == 1 else rng.choice(variations, p=np.array(shares) / sum(shares))
    return PhantomOptions(
        size=grid.size,
        spacing_mm=spacing,
        phase=str(phase),  # type: ignore[arg-type]
        tumor_count=tumors,
        center_mm=center,
        variation=str(variation),  # type: ignore[arg-type]
        surroundings=recipe.stage == "surround",
    )
