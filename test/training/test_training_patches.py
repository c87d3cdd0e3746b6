# SPDX-License-Identifier: Apache-2.0
"""Patches and their augmentation: repeatable, on the structures asked for, image and labels together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import AORTA, BONE, LIVER
from liver_seg_ros.training.augmentation import augment, random_size
from liver_seg_ros.training.case_dataset import cut
from liver_seg_ros.training.cases import case_path, read_case, write_case
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.recipe import AugmentationRecipe, Recipe


def test_the_same_state_gives_the_same_batch(folder: Path, recipe: Recipe) -> None:
    dataset = PhantomDataset(folder, range(3), recipe)
    one, again, other = (dataset.batch(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.images, again.images)
    assert np.array_equal(one.labels, again.labels)
    assert not np.array_equal(one.images, other.images)
    assert one.images.shape == (2, 1, 16, 16, 16)
    assert one.labels.shape == (2, 16, 16, 16)
    assert np.abs(one.images).max() <= 1


def test_patches_hold_the_structure_in_focus(folder: Path, recipe: Recipe) -> None:
    case = read_case(case_path(folder, 0))
    rare = np.where(case.labels == 2, np.uint8(1), case.labels)
    rare[13, 19, 23] = 2  # one voxel in a corner, which chance would rarely find
    for path in folder.glob("*.npz"):
        write_case(path, replace(case, labels=rare))

    def share_with_tumor(focus: dict[str, float]) -> float:
        plan = replace(recipe.optimization, patch=(8, 8, 8), focus=focus)
        dataset = PhantomDataset(folder, range(3), replace(recipe, optimization=plan))
        batches = [dataset.batch(np.random.default_rng(seed)).labels for seed in range(50)]
        return float(np.mean([(patch == 2).any() for batch in batches for patch in batch]))

    assert share_with_tumor({"tumor": 1.0}) == 1
    assert share_with_tumor({}) < 0.1


def test_the_inside_of_thick_vessels_is_drawn_more_often_where_asked(folder: Path, recipe: Recipe) -> None:
    """A trunk that opens into a thin sheet, all one part: by voxels alone its middle is seldom a center."""
    case = read_case(case_path(folder, 0))
    labels = np.ones_like(case.labels)
    labels[:, :, 8] = 3
    labels[3:10, 6:13, :8] = 3
    for path in folder.glob("*.npz"):
        write_case(path, replace(case, labels=labels))

    def share_of_the_trunk(deep_centers: float) -> float:
        plan = replace(recipe.optimization, focus={"vessel": 1.0}, deep_centers=deep_centers)
        dataset = PhantomDataset(folder, range(3), replace(recipe, optimization=plan))
        centers = np.array([dataset._center(0, np.random.default_rng(n)) for n in range(200)])
        assert (labels[tuple(centers.T)] == 3).all()
        k, j, i = centers.T
        return float(np.mean((np.abs(k - 6) < 3) & (np.abs(j - 9) < 3) & (i < 7)))

    chance = np.count_nonzero(labels[4:9, 7:12, :7] == 3) / np.count_nonzero(labels == 3)
    assert share_of_the_trunk(0.0) == pytest.approx(chance, abs=0.1)
    assert share_of_the_trunk(1.0) > chance + 0.25


def test_cases_that_land_later_are_taken_in(folder: Path, recipe: Recipe) -> None:
    late = case_path(folder, 2)
    kept = late.read_bytes()
    late.unlink()
    dataset = PhantomDataset(folder, range(3), recipe)
    assert len(dataset) == 2
    late.write_bytes(kept)
    dataset.refresh()
    assert list(dataset.cases) == [0, 1, 2]


def test_no_case_is_an_error_that_says_how_to_make_one(tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(InputError, match=r"no training case .* python -m liver_seg_ros.training.generate"):
        PhantomDataset(tmp_path, range(3), recipe)


def test_cut_repeats_the_outermost_voxels() -> None:
    array = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    part = cut(array, (-1, 1, 2), (6, 2, 5))
    assert part.shape == (6, 2, 5)
    assert np.array_equal(part[1:4, :, :3], array[:, 1:3, 2:5])
    assert np.array_equal(part[0], part[1])
    assert np.array_equal(part[5], part[3])
    assert np.array_equal(part[:, :, 4], part[:, :, 2])


def test_flips_move_image_and_labels_together() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (6, 7, 8)).astype(np.uint8)
    image, flipped = augment(labels.astype(np.float32), labels, AugmentationRecipe(flip=1), np.random.default_rng(0))
    assert np.array_equal(image, flipped)
    assert np.array_equal(flipped, labels[::-1, ::-1, ::-1])


def test_intensities_change_within_their_bounds_and_the_input_not_at_all() -> None:
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[2:4] = 3
    image = np.full(labels.shape, 100, np.float32)
    recipe = AugmentationRecipe(shift_hu=10, scale=0.1, structure_shift_hu=5)
    seen = np.stack([augment(image, labels, recipe, np.random.default_rng(seed))[0] for seed in range(200)])
    assert (image == 100).all()
    assert 75 <= seen.min() < 82
    assert 118 < seen.max() <= 125
    steps = seen[:, 2, 0, 0] - seen[:, 0, 0, 0]  # vessel against background
    assert 4 < np.abs(steps).max() <= 5
    noisy = [
        augment(image, labels, AugmentationRecipe(noise_hu=20), np.random.default_rng(seed))[0].std()
        for seed in range(50)
    ]
    assert min(noisy) == 0 and 5 < max(noisy) <= 22


def test_each_organ_is_shifted_by_itself() -> None:
    labels = np.repeat(np.array([0, LIVER.value, AORTA.value, BONE.value], np.uint8), 64).reshape(4, 8, 8)
    image = np.full(labels.shape, 50, np.float32)
    shifted, _ = augment(image, labels, AugmentationRecipe(structure_shift_hu=30), np.random.default_rng(0))
    values = [shifted[labels == value] for value in (0, LIVER.value, AORTA.value, BONE.value)]
    assert all(np.ptp(part) == 0 and abs(part[0] - 50) <= 30 for part in values)
    assert values[0][0] == 50 and len({float(part[0]) for part in values}) == 4


def test_random_sizes_fit_networks_and_reach_down_to_the_smallest() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([random_size((112, 96, 80), 0.3, rng) for _ in range(300)])
    assert (sizes % 16 == 0).all()
    assert (sizes.max(axis=0) == (112, 96, 80)).all()
    assert (sizes.min(axis=0) == (32, 32, 32)).all()
    assert random_size((20, 20, 20), 1, rng) == (20, 20, 20)


def test_mirrored_tumors_differ_from_the_liver_the_other_way() -> None:
    labels = np.ones((8, 8, 8), np.uint8)
    labels[2:4], labels[6:] = 2, 3
    hu = np.choose(labels, [0, 100, 60, 160]).astype(np.float32)
    image, unchanged = augment(hu, labels, AugmentationRecipe(tumor_mirror=1), np.random.default_rng(0))
    np.testing.assert_array_equal(image, np.choose(labels, [0, 100, 140, 160]))  # vessels and liver stay
    np.testing.assert_array_equal(unchanged, labels)
    assert hu[2, 0, 0] == 60  # the case itself is not touched
