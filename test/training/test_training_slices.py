# SPDX-License-Identifier: Apache-2.0
"""Networks of slices: a slice between its neighbors goes in, the labels of the one in the middle come out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.cases import Case, case_path, write_case
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.recipe import AugmentationRecipe, Recipe
from liver_seg_ros.training.slices import with_neighbors
from liver_seg_ros.training.trainer import Trainer


@pytest.fixture
def sliced(recipe: Recipe) -> Recipe:
    """The tests' recipe for a network of slices that sees one more on either side."""
    plan = replace(recipe.optimization, patch=(16, 16, 1), batch=2, steps=6, validate_every=6)
    network = {"name": "unet2d", "widths": [4, 4]}
    return replace(recipe, network=network, data=replace(recipe.data, neighbors=1), optimization=plan)


def test_neighbors_of_a_slice_are_those_beside_it_the_outermost_repeated() -> None:
    volume = np.arange(4)[:, None, None] * np.ones((4, 2, 3), int)
    stacks = with_neighbors(volume, 2)
    assert stacks.shape == (4, 5, 2, 3)
    assert stacks[:, :, 0, 0].tolist() == [[0, 0, 0, 1, 2], [0, 0, 1, 2, 3], [0, 1, 2, 3, 3], [1, 2, 3, 3, 3]]
    assert np.array_equal(with_neighbors(volume, 0)[:, 0], volume)


def test_a_batch_has_a_slice_with_its_neighbors_and_the_labels_of_the_middle_one(
    sliced: Recipe, tmp_path: Path
) -> None:
    hu = np.repeat(np.arange(14, dtype=np.int16), 20 * 24).reshape(14, 20, 24)  # slice k has k HU
    write_case(case_path(tmp_path, 0), Case(hu, (hu % 4).astype(np.uint8)))
    plain = replace(sliced, augmentation=AugmentationRecipe(), data=replace(sliced.data, hu_window=(-1, 15)))
    for focus in ({}, {"tumor": 1.0}):
        recipe = replace(plain, optimization=replace(plain.optimization, focus=focus, batch=24))
        batch = PhantomDataset(tmp_path, range(1), recipe).batch(np.random.default_rng(1))
        assert batch.images.shape == (24, 3, 16, 16) and batch.labels.shape == (24, 16, 16)
        k = np.rint(batch.images[:, :, 8, 8] * 8 + 7).astype(int)  # the window is 16 HU wide, -1 ... 1
        before, middle, behind = k.T
        assert np.array_equal(before, np.maximum(middle - 1, 0)) and np.array_equal(behind, np.minimum(middle + 1, 13))
        assert np.array_equal(batch.labels[:, 8, 8], middle % 4)
        assert len({*middle}) > 2
        assert not focus or {*batch.labels[:, 8, 8]} == {2}


def test_a_network_of_slices_is_trained_and_validated_on_whole_cases(
    sliced: Recipe, folder: Path, tmp_path: Path
) -> None:
    training = PhantomDataset(folder, range(3), sliced)
    output = tmp_path / "out"
    output.mkdir()
    saved = Trainer(sliced, output, training, {2: training.cases[2]}).run()
    case, network = training.cases[2], saved.network()
    hu = np.clip(case.image.astype(np.float32), -100, 250) / 175 - 75 / 175  # the window, to -1 ... 1
    found = np.zeros(case.labels.shape, int)
    for k in range(14):
        beside = torch.from_numpy(hu[[max(k - 1, 0), k, min(k + 1, 13)]])[None]
        with torch.no_grad():
            found[k] = network(beside).argmax(dim=1)[0]
    for value, name in enumerate(("tumor", "vessel"), 2):
        both = np.count_nonzero((found == value) & (case.labels == value))
        sizes = np.count_nonzero(found == value) + np.count_nonzero(case.labels == value)
        assert saved.scores[name] == pytest.approx(2 * both / sizes, abs=0.02)


@pytest.mark.parametrize(
    ("network", "patch", "message"),
    [
        ("unet2d", (16, 16, 16), r"'unet2d' takes slices.*for slices give optimization.patch: \[i, j, 1\]"),
        ("unet3d", (16, 16, 1), r"'unet3d' takes volumes; give an optimization.patch of more than 1 slice"),
    ],
)
def test_a_network_that_takes_something_else_is_refused(
    recipe: Recipe, folder: Path, tmp_path: Path, network: str, patch: tuple[int, int, int], message: str
) -> None:
    other = replace(recipe, network={"name": network}, optimization=replace(recipe.optimization, patch=patch))
    with pytest.raises(InputError, match=message):
        Trainer(other, tmp_path, PhantomDataset(folder, range(3), other), {})
