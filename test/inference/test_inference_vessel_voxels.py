# SPDX-License-Identifier: Apache-2.0
"""Thin branches are followed in the CT's own voxels, and borders of vessels lie where the CT has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from liver_seg_ros.evaluation.cl_dice import cl_dice
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.inference.vessel_steps import refine_vessels
from liver_seg_ros.labels import BACKGROUND, LIVER, TUMOR, VESSEL
from liver_seg_ros.phantom import PhantomOptions, generate_phantom

Mask = NDArray[np.bool_]

GEOMETRY = Geometry((100, 90, 60), (0.7, 0.7, 1.0), (-30.0, 12.0, 5.0))
K, J, COLUMN = np.indices(GEOMETRY.shape)
LIVER_HU, NOISE_HU, CONTRAST_HU = 110.0, 12.0, 70.0
MODELS = Path(__file__).parents[2] / "models"


def tube(from_ji: tuple[float, float], along: int, radius_mm: float, first: int = 0, last: int = 10_000) -> Mask:
    """A straight vessel along one axis (0 to 2 are K, J, I), its other two coordinates given in voxels."""
    spacing_mm = np.array(GEOMETRY.spacing_mm[::-1])
    others = [axis for axis in range(3) if axis != along]
    grid = (K, J, COLUMN)
    squares = [((grid[axis] - at) * spacing_mm[axis]) ** 2 for axis, at in zip(others, from_ji, strict=True)]
    within: Mask = (squares[0] + squares[1] <= radius_mm**2) & (grid[along] >= first) & (grid[along] <= last)
    return within


@dataclass
class Scene:
    """A block of liver, a trunk that was found, and a twig of 2 mm that leaves it and was not."""

    labels: NDArray[np.uint8]
    hu: NDArray[np.float64]
    twig: Mask

    def refined(self, *steps: str, noise_hu: float = NOISE_HU) -> NDArray[np.uint8]:
        noise = np.random.default_rng(0).normal(0, noise_hu, self.hu.shape)
        hu = np.rint(self.hu + noise).astype(np.int16)
        before = self.labels.copy(), hu.copy()
        found = refine_vessels(self.labels, hu, GEOMETRY, steps)
        np.testing.assert_array_equal(self.labels, before[0])
        np.testing.assert_array_equal(hu, before[1])
        return found

    def followed(self, noise_hu: float = NOISE_HU) -> NDArray[np.uint8]:
        found = self.refined("thin_vessels", noise_hu=noise_hu)
        changed = found != self.labels
        assert (self.labels[changed] == LIVER.value).all() and (found[changed] == VESSEL.value).all()
        return found

    def trimmed(self) -> NDArray[np.uint8]:
        found = self.refined("vessel_borders")
        changed = found != self.labels
        assert (self.labels[changed] == VESSEL.value).all() and (found[changed] == LIVER.value).all()
        return found


@pytest.fixture
def scene() -> Scene:
    block = (K > 3) & (K < 56) & (J > 4) & (J < 85) & (COLUMN > 4) & (COLUMN < 95)
    trunk = tube((30, 25), 2, 4.0, 10, 90)
    twig = tube((30, 60), 1, 1.0, 25, 75)  # along J, from the trunk
    labels = np.where(block, LIVER.value, BACKGROUND).astype(np.uint8)
    labels[trunk] = VESSEL.value
    hu = np.where(block, LIVER_HU, 0.0)
    hu[trunk | twig] += CONTRAST_HU
    return Scene(labels, hu, twig & ~trunk)


def test_a_twig_is_followed_and_little_else(scene: Scene) -> None:
    found = scene.followed() == VESSEL.value
    assert np.count_nonzero(found & scene.twig) > 0.9 * np.count_nonzero(scene.twig)
    new = found & (scene.labels != VESSEL.value) & ~scene.twig
    assert np.count_nonzero(new) < 0.4 * np.count_nonzero(scene.twig)  # its rim, and half voxels along the trunk
    far = new & ~(tube((30, 60), 1, 2.2) | tube((30, 25), 2, 5.2))
    assert np.count_nonzero(far) <= 12


def test_noise_is_not_followed(scene: Scene) -> None:
    """Of 60 HU, as a sharp kernel leaves in thin slices: the trunk grows no twigs of it."""
    scene.hu[scene.twig] = LIVER_HU
    found = scene.followed(noise_hu=60.0) == VESSEL.value
    far = found & ~tube((30, 25), 2, 6.5)
    assert np.count_nonzero(far) < 60


def test_a_bend_of_the_liver_s_own_brightness_is_no_vessel(scene: Scene) -> None:
    """Fat makes one side of a liver darker by as much as a vessel is brighter than it."""
    scene.hu += np.linspace(-60, 60, GEOMETRY.size[0])[None, None] * (scene.labels > 0)
    found = scene.followed() == VESSEL.value
    assert np.count_nonzero(found & scene.twig) > 0.85 * np.count_nonzero(scene.twig)
    assert np.count_nonzero(found & ~scene.twig & (scene.labels != VESSEL.value)) < 2 * np.count_nonzero(scene.twig)


@pytest.mark.parametrize("contrast_hu", [0.0, 4.0, -20.0])
def test_nothing_is_followed_where_vessels_do_not_stand_out(scene: Scene, contrast_hu: float) -> None:
    scene.hu[(scene.hu > LIVER_HU)] += contrast_hu - CONTRAST_HU
    np.testing.assert_array_equal(scene.followed(), scene.labels)


def test_what_no_vessel_leads_to_stays_liver(scene: Scene) -> None:
    apart = tube((15, 70), 1, 1.0, 30, 70)
    scene.hu[apart] += CONTRAST_HU
    found = scene.followed() == VESSEL.value
    assert not found[apart & ~scene.twig].any()


def test_a_bright_rim_of_a_tumor_stays_what_it_was(scene: Scene) -> None:
    center = np.sqrt(((K - 30) * 1.0) ** 2 + ((J - 60) * 0.7) ** 2 + ((COLUMN - 60) * 0.7) ** 2)
    scene.labels[center < 6] = TUMOR.value
    scene.hu[(center >= 6) & (center < 8)] = LIVER_HU + CONTRAST_HU
    found = scene.followed()
    rim = (center >= 6) & (center < 8)
    assert np.count_nonzero((found == VESSEL.value) & rim) < 0.15 * np.count_nonzero(rim)
    assert (found[scene.labels == TUMOR.value] == TUMOR.value).all()


def test_what_is_brighter_than_any_vessel_is_none(scene: Scene) -> None:
    clip = tube((30, 45), 2, 1.5, 60, 80)
    scene.hu[clip] = 900
    found = scene.followed() == VESSEL.value
    assert not found[tube((30, 45), 2, 0.8, 62, 78)].any()


def test_what_shines_into_the_liver_from_outside_is_none(scene: Scene) -> None:
    beside = (J >= 80) & (scene.labels == LIVER.value)
    scene.hu[beside] = LIVER_HU + CONTRAST_HU  # a kidney's rim that was taken for liver
    scene.hu[tube((30, 60), 1, 1.0, 70, 84)] = LIVER_HU + CONTRAST_HU
    found = scene.followed() == VESSEL.value
    edge = beside & (J >= 83)
    assert not found[edge].any()


def test_a_scan_without_vessels_or_liver_is_left_as_it_is(scene: Scene) -> None:
    scene.labels[scene.labels == VESSEL.value] = LIVER.value
    np.testing.assert_array_equal(scene.followed(), scene.labels)
    scene.labels[:] = BACKGROUND
    np.testing.assert_array_equal(scene.followed(), scene.labels)
    scene.labels[20:23, 20:23, 20:23] = VESSEL.value
    np.testing.assert_array_equal(scene.followed(), scene.labels)


@settings(max_examples=40, deadline=None)
@given(
    labels=npst.arrays(np.uint8, npst.array_shapes(min_dims=3, max_dims=3, max_side=14), elements=st.integers(0, 3)),
    shift=st.integers(-1000, 1000),
    seed=st.integers(0, 10),
)
def test_whatever_the_labels_only_liver_becomes_vessel(labels: NDArray[np.uint8], shift: int, seed: int) -> None:
    geometry = Geometry(labels.shape[::-1], (0.9, 0.8, 2.0))  # type: ignore[arg-type]
    hu = (np.random.default_rng(seed).normal(shift, 40, labels.shape) + 60 * (labels == VESSEL.value)).astype(np.int16)
    found = refine_vessels(labels, hu, geometry, ["thin_vessels"])
    changed = found != labels
    assert (labels[changed] == LIVER.value).all() and (found[changed] == VESSEL.value).all()


def test_the_shipped_models_find_a_tree_with_its_twigs() -> None:
    """A synthetic CT of a seed that nothing was trained or chosen on; without the step its clDice is 0.63."""
    phantom = generate_phantom(
        18_000, PhantomOptions((192, 176, 120), (1.1, 1.1, 1.4), "portal_venous", center_mm=(0.0, 0.0, 0.0))
    )
    found = load_default_segmenter(MODELS).segment(phantom.ct).labels
    assert cl_dice(found.mask(VESSEL.value), phantom.labels.mask(VESSEL.value)) > 0.72


def test_layers_are_not_seen_in_what_is_followed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = None
    for slices in (1000, 32, 7, 1):
        monkeypatch.setattr("liver_seg_ros.inference.layers._SLICES", slices)
        found = scene.followed()
        whole = found if whole is None else whole
        np.testing.assert_array_equal(found, whole)


def dice(a: Mask, b: Mask) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def test_a_trunk_that_was_drawn_too_wide_is_as_wide_as_the_ct_shows_it(scene: Scene) -> None:
    trunk = scene.labels == VESSEL.value
    scene.labels[tube((30, 25), 2, 4.7, 10, 90)] = VESSEL.value
    wide = scene.labels == VESSEL.value
    found = scene.trimmed() == VESSEL.value
    assert dice(wide, trunk) < 0.86
    assert dice(found, trunk) > 0.95
    assert np.count_nonzero(trunk & ~found) < 0.03 * np.count_nonzero(trunk)


def test_a_trunk_of_the_right_width_and_a_twig_of_one_voxel_stay(scene: Scene) -> None:
    trunk = scene.labels == VESSEL.value
    core = tube((30, 60), 1, 0.5, 25, 75)
    scene.labels[core] = VESSEL.value
    found = scene.trimmed() == VESSEL.value
    assert np.count_nonzero(trunk & ~found) < 0.03 * np.count_nonzero(trunk)
    assert np.count_nonzero(core & ~found) < 0.05 * np.count_nonzero(core)


def test_a_border_with_what_is_no_liver_stays(scene: Scene) -> None:
    """A vessel that leaves the liver is cut there by the liver's own border, and beside a tumor nothing is known."""
    wide = tube((30, 25), 2, 4.7, 10, 90)
    for beside in (TUMOR.value, BACKGROUND):
        scene.labels[~wide & (K < 30)] = beside
        scene.labels[wide] = VESSEL.value
        found = scene.trimmed()
        lower = wide & (K < 29)
        np.testing.assert_array_equal(found[lower], scene.labels[lower])
        assert (found[wide & (K > 31)] == LIVER.value).any()


@pytest.mark.parametrize("contrast_hu", [0.0, 4.0, -20.0])
def test_borders_stay_where_vessels_do_not_stand_out(scene: Scene, contrast_hu: float) -> None:
    scene.hu[(scene.hu > LIVER_HU)] += contrast_hu - CONTRAST_HU
    scene.labels[tube((30, 25), 2, 4.7, 10, 90)] = VESSEL.value
    np.testing.assert_array_equal(scene.trimmed(), scene.labels)


def test_twigs_are_followed_and_borders_trimmed_at_once(scene: Scene) -> None:
    scene.labels[tube((30, 25), 2, 4.7, 10, 90)] = VESSEL.value
    followed, trimmed, both = scene.followed(), scene.trimmed(), scene.refined("thin_vessels", "vessel_borders")
    new = (followed != scene.labels) & (both == VESSEL.value)
    np.testing.assert_array_equal(new, followed != scene.labels)  # what was followed is bright, so it stays
    gone = (scene.labels == VESSEL.value) & (both == LIVER.value)
    assert not (gone & (trimmed == VESSEL.value)).any()
    assert np.count_nonzero(gone) > 0.95 * np.count_nonzero(trimmed != scene.labels)


@settings(max_examples=40, deadline=None)
@given(
    labels=npst.arrays(np.uint8, npst.array_shapes(min_dims=3, max_dims=3, max_side=14), elements=st.integers(0, 3)),
    seed=st.integers(0, 10),
)
def test_whatever_the_labels_only_vessel_beside_liver_becomes_liver(labels: NDArray[np.uint8], seed: int) -> None:
    geometry = Geometry(labels.shape[::-1], (0.9, 0.8, 2.0))  # type: ignore[arg-type]
    noise = np.random.default_rng(seed).normal(100, 10, labels.shape)
    hu = (noise + 90 * (labels == VESSEL.value)).astype(np.int16)
    found = refine_vessels(labels, hu, geometry, ["vessel_borders"])
    changed = found != labels
    beside_liver = binary_dilation(labels == LIVER.value)
    assert ((labels == VESSEL.value) & beside_liver)[changed].all() and (found[changed] == LIVER.value).all()
