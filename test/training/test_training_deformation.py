# SPDX-License-Identifier: Apache-2.0
"""Patches turned, zoomed, shifted and made coarser by MONAI: image and labels together, as far as the recipe allows."""

from __future__ import annotations

import numpy as np
import pytest

from liver_seg_ros.training.augmentation import augment
from liver_seg_ros.training.deformation import deform
from liver_seg_ros.training.recipe import AugmentationRecipe

pytest.importorskip("monai", reason="monai is not installed (extra [train])")

K, J, I = np.mgrid[:12, :40, :40].astype(float)  # noqa: E741  as in all of this package
CENTER = (5.5, 19.5, 19.5)
BALL = ((K - 5.5) ** 2 + (J - 19.5) ** 2 + (I - 28.5) ** 2 < 16).astype(np.uint8)  # 9 voxels off the middle, along i
IMAGE = (100.0 * BALL).astype(np.float32)


def place(mask: np.ndarray) -> np.ndarray:
    """Middle of a mask from the patch's middle, `(k, j, i)` in voxels."""
    return np.array([axis[mask > 0].mean() for axis in (K, J, I)]) - CENTER


def varied(**options: float) -> list[tuple[np.ndarray, np.ndarray]]:
    recipe = AugmentationRecipe(**options)
    return [deform(IMAGE, BALL, recipe, np.random.default_rng(seed)) for seed in range(12)]


def test_nothing_is_drawn_and_nothing_changed_where_all_is_off() -> None:
    rng, untouched = np.random.default_rng(3), np.random.default_rng(3)
    image, labels = deform(IMAGE, BALL, AugmentationRecipe(), rng)
    assert image is IMAGE and labels is BALL
    assert rng.random() == untouched.random()  # recipes from before there was any draw what they drew


def test_a_turn_stays_in_the_slice_and_moves_image_and_labels_alike() -> None:
    places = []
    for image, labels in varied(rotate_degrees=60):
        k, j, i = place(labels)
        assert abs(k) < 0.2 and np.hypot(j, i) == pytest.approx(9, abs=0.4)
        assert abs(np.rad2deg(np.arctan2(j, i))) < 63
        assert place(image > 50) == pytest.approx(place(labels), abs=0.4)
        assert np.count_nonzero(labels) == pytest.approx(np.count_nonzero(BALL), rel=0.15)
        places.append(j)
    assert min(places) < -3 and max(places) > 3


def test_a_zoom_and_a_shift_are_within_their_bounds_and_differ() -> None:
    volumes = [np.count_nonzero(labels) / np.count_nonzero(BALL) for _, labels in varied(zoom=0.2)]
    assert 0.5 < min(volumes) < 1 and 1.1 < max(volumes) < 2.2  # 1.2**-3 and 0.8**-3, and whole voxels
    shifts = np.array([place(labels) - (0, 0, 9) for _, labels in varied(translate_voxels=3)])
    assert np.abs(shifts).max() < 3.3 and np.abs(shifts).max(axis=0).min() > 1


def test_less_resolution_changes_the_image_alone() -> None:
    for image, labels in varied(low_resolution=0.4):
        assert np.array_equal(labels, BALL) and image.shape == IMAGE.shape
    assert len({float(np.abs(image - IMAGE).sum()) for image, _ in varied(low_resolution=0.4)}) > 6


def test_the_same_state_gives_the_same_patch() -> None:
    recipe = AugmentationRecipe(rotate_degrees=20, zoom=0.1, translate_voxels=2, low_resolution=0.5, flip=0.5)
    one, again, other = (augment(IMAGE, BALL, recipe, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(one[0], again[0]) and np.array_equal(one[1], again[1])
    assert not np.array_equal(one[0], other[0])
