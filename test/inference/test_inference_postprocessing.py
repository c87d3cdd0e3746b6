# SPDX-License-Identifier: Apache-2.0
"""Cleaning: one liver without holes; tumors and vessels in or near it, large enough to count."""

from __future__ import annotations

from dataclasses import replace

import edt
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import CLEANING_STEPS, POSTPROCESSING_STEPS, Postprocessing
from liver_seg_ros.inference.postprocessing import clean_labels, drop_tumors_outside, largest_liver, without
from liver_seg_ros.labels import VESSEL
from liver_seg_ros.phantom import PhantomOptions, generate_phantom

GEOMETRY = Geometry((60, 40, 30), (1.0, 1.0, 2.0))
OPTIONS = Postprocessing({"liver": 1000.0, "tumor": 20.0, "vessel": 20.0}, 4.0)


@pytest.fixture
def labels() -> NDArray[np.uint8]:
    """A block of liver, `(K, J, I)` = 10..19, 10..29, 10..39."""
    array = np.zeros(GEOMETRY.shape, np.uint8)
    array[10:20, 10:30, 10:40] = 1
    return array


def test_a_clean_liver_stays_as_it_is(labels: NDArray[np.uint8]) -> None:
    labels[12:15, 15:20, 15:20] = 2
    labels[15, 20:22, 12:38] = 3
    np.testing.assert_array_equal(clean_labels(labels, GEOMETRY, OPTIONS), labels)


def test_another_liver_goes_even_if_a_vessel_leads_to_it(labels: NDArray[np.uint8]) -> None:
    labels[12:18, 12:18, 48:56] = 1  # a spleen taken for liver
    labels[14:16, 14:16, 40:48] = 3
    cleaned = clean_labels(labels, GEOMETRY, OPTIONS)
    assert not cleaned[:, :, 44:].any()
    assert (cleaned[14:16, 14:16, 40:44] == 3).all()  # the vessel is kept up to the margin of 4 mm


def test_another_liver_goes_even_if_it_is_within_the_margin(labels: NDArray[np.uint8]) -> None:
    expected = labels.copy()
    labels[12:18, 12:18, 42:50] = 1
    np.testing.assert_array_equal(clean_labels(labels, GEOMETRY, OPTIONS), expected)


def test_a_lobe_behind_a_tumor_belongs_to_the_liver(labels: NDArray[np.uint8]) -> None:
    labels[10:20, 10:30, 20:24] = 2
    np.testing.assert_array_equal(clean_labels(labels, GEOMETRY, OPTIONS), labels)


def test_the_body_with_most_liver_wins_over_a_larger_tumor(labels: NDArray[np.uint8]) -> None:
    labels[22:30, :, :] = 2
    labels[23, 5:10, 5:10] = 1
    expected = np.zeros(labels.shape, bool)
    expected[10:20, 10:30, 10:40] = True
    np.testing.assert_array_equal(largest_liver(labels), expected)


def test_holes_become_liver_and_keep_what_is_in_them(labels: NDArray[np.uint8]) -> None:
    labels[13:17, 14:20, 14:20] = 0
    labels[14:16, 15:19, 15:19] = 3  # a vessel afloat in the hole
    cleaned = clean_labels(labels, GEOMETRY, OPTIONS)
    expected = labels.copy()
    expected[13:17, 14:20, 14:20][labels[13:17, 14:20, 14:20] == 0] = 1
    np.testing.assert_array_equal(cleaned, expected)


def test_a_hole_beside_a_vessel_that_leaves_the_liver_is_filled(labels: NDArray[np.uint8]) -> None:
    labels[14:17, 18:21, 10:30] = 3
    expected = labels.copy()
    labels[15, 17, 20:25] = 0
    labels[15, 19, 20:25] = 0
    expected[15, 17, 20:25] = 1
    expected[15, 19, 20:25] = 1  # what is missing in a vessel cannot be told from what is missing beside it
    np.testing.assert_array_equal(clean_labels(labels, GEOMETRY, OPTIONS), expected)


@pytest.mark.parametrize("value", [2, 3])
def test_far_and_small_tumors_and_vessels_go(labels: NDArray[np.uint8], value: int) -> None:
    labels[14:18, 14:18, 50:56] = value  # 11 mm away
    labels[15, 15, 15:18] = value  # 6 mm3 inside
    labels[15, 15, 42:45] = value  # as small, outside but within the margin
    expected = np.zeros_like(labels)
    expected[10:20, 10:30, 10:40] = 1
    np.testing.assert_array_equal(clean_labels(labels, GEOMETRY, OPTIONS), expected)


def test_margins_and_volumes_are_in_millimeters(labels: NDArray[np.uint8]) -> None:
    """Two slices of 2 mm are 4 mm away; five columns of 1 mm are 5 mm away."""
    labels[20:23, 15:20, 15:20] = 3
    labels[12:15, 15:20, 40:45] = 3
    cleaned = clean_labels(labels, GEOMETRY, OPTIONS)
    assert (cleaned[20:22, 15:20, 15:20] == 3).all() and not cleaned[22].any()
    assert (cleaned[12:15, 15:20, 40:44] == 3).all() and not cleaned[:, :, 44].any()


def test_a_thick_vessel_stays_whole_inside_the_liver_and_ends_at_the_margin(labels: NDArray[np.uint8]) -> None:
    """Its middle is 4 mm from liver tissue, four times the margin; before the liver as far from it is not inside."""
    expected = labels.copy()
    expected[13:17, 16:24, 10:40] = 3
    labels[13:17, 16:24, 4:46] = 3
    cleaned = clean_labels(labels, GEOMETRY, Postprocessing({}, 1.0))
    np.testing.assert_array_equal(cleaned[:, :, 12:38], expected[:, :, 12:38])
    assert not cleaned[:, :, :8].any() and not cleaned[:, :, 42:].any()


def test_a_trunk_along_the_liver_is_not_inside_it(labels: NDArray[np.uint8]) -> None:
    labels[12:18, 30:38, 5:45] = 3  # leans against the liver with one side
    cleaned = clean_labels(labels, GEOMETRY, Postprocessing({}, 1.0))
    assert not cleaned[:, 31:].any()


@pytest.mark.parametrize("spacing_mm", [(1.2, 1.2, 1.5), (1.0, 1.0, 5.0)])
def test_the_truth_of_a_phantom_stays_as_it_is(spacing_mm: tuple[float, float, float]) -> None:
    """Trunks of 10 to 13 mm that leave the liver, in a scan of thin and one of thick slices."""
    size = (200, 200, round(200 / spacing_mm[2]))
    scan = PhantomOptions(size, spacing_mm, "portal_venous", tumor_count=2, center_mm=(0.0, 0.0, 0.0))
    truth = generate_phantom(11_060, scan).labels
    options = Postprocessing({"liver": 10_000.0, "tumor": 30.0, "vessel": 0.0}, 3.0)
    cleaned = clean_labels(truth.array, truth.geometry, options)
    vessel = truth.array == VESSEL.value
    deep = edt.edt(vessel, anisotropy=spacing_mm[::-1]) > 3
    assert np.count_nonzero(deep) > 300
    assert np.mean(cleaned[deep] == VESSEL.value) > 0.995
    assert np.mean(cleaned == truth.array) > 0.9999


def test_too_little_liver_is_none(labels: NDArray[np.uint8]) -> None:
    strict = Postprocessing({"liver": 12_001.0}, 4.0)  # the block has 12 000 mm3
    assert not clean_labels(labels, GEOMETRY, strict).any()
    assert clean_labels(labels, GEOMETRY, Postprocessing({"liver": 12_000.0}, 4.0)).any()
    assert not clean_labels(np.zeros_like(labels), GEOMETRY, OPTIONS).any()


def test_a_gallbladder_taken_for_a_tumor_goes(labels: NDArray[np.uint8]) -> None:
    expected = labels.copy()
    labels[12:18, 12:20, 40:46] = 2  # leans against the liver with one face of six
    np.testing.assert_array_equal(clean_labels(labels, GEOMETRY, OPTIONS), expected)


def test_a_tumor_that_breaks_through_the_capsule_stays(labels: NDArray[np.uint8]) -> None:
    labels[12:18, 12:20, 34:41] = 2  # one voxel of seven stands out
    np.testing.assert_array_equal(drop_tumors_outside(labels, GEOMETRY), labels)


def test_a_large_tumor_that_parts_the_liver_and_bulges_stays_and_so_does_what_lies_behind_it(
    labels: NDArray[np.uint8],
) -> None:
    """Two of its six faces border on liver, and they are large: 800 of 1720 mm2, which is less than half."""
    labels[10:20, 9:31, 20:30] = 2
    np.testing.assert_array_equal(clean_labels(labels, GEOMETRY, OPTIONS), labels)


def test_contact_is_measured_in_square_millimeters(labels: NDArray[np.uint8]) -> None:
    """A plate between two layers of liver: two thirds of its voxel faces touch them, but a fifth of its area in mm2."""
    labels[20:22, 12:20, 12:20] = 2  # two slices thick, its rim in the open
    for slice_mm, stays in ((0.25, True), (8.0, False)):
        labels[22, 12:20, 12:20] = 1  # liver on both sides of the plate
        kept = drop_tumors_outside(labels, Geometry(GEOMETRY.size, (1.0, 1.0, slice_mm)))
        assert (kept == 2).any() == stays


def all_but(step: str) -> Postprocessing:
    return without(OPTIONS, [step])


def test_every_step_can_be_left_out(labels: NDArray[np.uint8]) -> None:
    """What each step removes, or fills, stays as it is without it, while the other steps work."""
    labels[12:18, 14:20, 40:44] = 2  # tumor_contact: leans against the liver with one face
    labels[2:6, 2:6, 50:56] = 1  # one_liver
    labels[14:18, 32:38, 14:18] = 3  # inside_liver: 3 mm away, and farther than the margin in part
    labels[14:16, 14:16, 14:16] = 0  # fill_holes
    labels[12, 25, 25] = 3  # min_volume
    places = {
        "tumor_contact": (slice(12, 18), slice(14, 20), slice(40, 44)),
        "one_liver": (slice(2, 6), slice(2, 6), slice(50, 56)),
        "inside_liver": (slice(14, 18), slice(35, 38), slice(14, 18)),
        "fill_holes": (slice(14, 16), slice(14, 16), slice(14, 16)),
        "min_volume": (slice(12, 13), slice(25, 26), slice(25, 26)),
    }
    assert set(places) == set(CLEANING_STEPS)
    cleaned = clean_labels(labels, GEOMETRY, OPTIONS)
    for step, place in places.items():
        kept = clean_labels(labels, GEOMETRY, all_but(step))
        assert (cleaned[place] != labels[place]).all(), step
        np.testing.assert_array_equal(kept[place], labels[place], err_msg=step)
        for other, elsewhere in places.items():
            if other != step:
                assert (kept[elsewhere] != labels[elsewhere]).all(), (step, other)


def test_no_lesion_is_smaller_than_the_least_however_lesions_are_counted(labels: NDArray[np.uint8]) -> None:
    """A speck at a tumor's corner is a lesion of its own to whoever counts by faces; a vessel's twig is none."""
    labels[12:16, 20:24, 20:24] = 2
    labels[16, 24, 24] = 2
    labels[12:20, 30, 30] = 3
    labels[20, 31, 31] = 3
    options = replace(OPTIONS, min_volume_mm3={"tumor": 8.0, "vessel": 8.0})
    cleaned = clean_labels(labels, GEOMETRY, options)
    parts = ndimage.label(cleaned == 2)[0]  # by faces
    assert (np.bincount(parts.ravel())[1:] * GEOMETRY.voxel_volume_mm3).min() >= 8
    assert cleaned[16, 24, 24] == 1 and cleaned[20, 31, 31] == 3


def test_without_any_step_nothing_changes(labels: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 4, labels.shape).astype(np.uint8)
    np.testing.assert_array_equal(clean_labels(noise, GEOMETRY, without(OPTIONS, POSTPROCESSING_STEPS)), noise)


def test_an_unknown_step_is_named() -> None:
    with pytest.raises(InputError, match="no such step of postprocessing: smooth; there are: tumor_contact, one_liver"):
        without(OPTIONS, ["smooth"])
