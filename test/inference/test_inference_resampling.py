# SPDX-License-Identifier: Apache-2.0
"""Resampling: exact where linear interpolation is, anti-aliased where it shrinks, and accurate on the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.resampling import (
    largest_share,
    resample_labels_to,
    resample_to,
    resample_to_spacing,
    resampled_slices,
)

spacings = st.tuples(*[st.floats(0.4, 6.0)] * 3)


@settings(max_examples=60, deadline=None)
@given(source_mm=spacings, target_mm=spacings, slope=st.tuples(*[st.floats(-20, 20)] * 3), degrees=st.floats(0, 90))
def test_a_linear_ramp_is_reproduced_exactly_away_from_the_border(
    source_mm: tuple[float, float, float],
    target_mm: tuple[float, float, float],
    slope: tuple[float, float, float],
    degrees: float,
) -> None:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    source = Geometry((17, 14, 12), source_mm, (5.0, -3.0, 100.0), ((c, -s, 0), (s, c, 0), (0, 0, 1)))

    def ramp(geometry: Geometry) -> np.ndarray:
        k, j, i = np.indices(geometry.shape)
        return geometry.index_to_lps(np.stack([i, j, k], axis=-1)) @ np.array(slope)

    resampled, target = resample_to_spacing(ramp(source), source, target_mm)
    k, j, i = np.indices(target.shape)
    position = source.lps_to_index(target.index_to_lps(np.stack([i, j, k], axis=-1)))  # in source voxels
    reach = 1 + np.maximum(1, np.array(target_mm) / source_mm) / 2  # what a target voxel looks at, to either side
    interior = np.all((position >= reach) & (position <= np.array(source.size) - 1 - reach), axis=-1)
    np.testing.assert_allclose(resampled[interior], ramp(target)[interior], atol=0.05)


@settings(max_examples=30, deadline=None)
@given(target_mm=spacings, value=st.integers(-1024, 3071))
def test_a_constant_stays_constant_up_to_the_border(target_mm: tuple[float, float, float], value: int) -> None:
    source = Geometry((9, 8, 3), (0.7, 0.7, 5.0))
    resampled, target = resample_to_spacing(np.full(source.shape, value, np.int16), source, target_mm)
    assert resampled.shape == target.shape and resampled.dtype == np.float32
    np.testing.assert_allclose(resampled, value, rtol=1e-5)


def test_the_same_spacing_changes_nothing() -> None:
    array = np.random.default_rng(1).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
    geometry = Geometry((7, 6, 5), (0.7, 0.8, 2.5))
    np.testing.assert_array_equal(resample_to_spacing(array, geometry, geometry.spacing_mm)[0], array)


def test_frequencies_that_the_new_grid_cannot_hold_vanish() -> None:
    """Stripes of one voxel: taking every fourth voxel would see only one of the two colors."""
    stripes = np.tile(np.array([1000, -1000], np.int16), 32)
    array = np.broadcast_to(stripes, (4, 4, 64))
    resampled, _ = resample_to_spacing(array, Geometry((64, 4, 4)), (4.0, 1.0, 1.0))
    assert np.abs(resampled[..., 2:-2]).max() < 100


def test_cropping_first_changes_nothing_inside() -> None:
    rng = np.random.default_rng(2)
    geometry = Geometry((40, 36, 30), (1.0, 1.0, 1.5), (3.0, 4.0, 5.0))
    array = rng.integers(-1000, 1000, geometry.shape).astype(np.int16)
    box = Box((6, 3, 2), (36, 33, 28))  # starts on voxel borders of the 3 mm grid
    whole, _ = resample_to_spacing(array, geometry, (3.0, 3.0, 3.0))
    part, _ = resample_to_spacing(array[box.slices], geometry.crop(box), (3.0, 3.0, 3.0))
    np.testing.assert_allclose(part[1:-1, 1:-1, 1:-1], whole[2:13, 2:10, 3:11], atol=1e-3)


@pytest.mark.parametrize("radius_mm", [3.0, 8.0, 25.0])
def test_probabilities_of_a_sphere_come_back_as_that_sphere(radius_mm: float) -> None:
    """From 1.5 mm back to the CT's grid: far closer than the nearest network voxel would be."""
    ct = Geometry((80, 80, 60), (0.8, 0.8, 1.0))
    sphere = _sphere_share(ct, radius_mm) > 0.5
    coarse = ct.resampled((1.5, 1.5, 1.5))
    share = _sphere_share(coarse, radius_mm)
    labels = np.stack(list(largest_share((np.stack([1 - plane, plane]) for plane in share), coarse, ct)))
    assert labels.dtype == np.uint8
    nearest = resample_labels_to((share > 0.5).astype(np.uint8), coarse, ct)
    assert _dice(labels, sphere) > {3.0: 0.92, 8.0: 0.985, 25.0: 0.995}[radius_mm]
    assert _dice(labels, sphere) > _dice(nearest, sphere)


def test_labels_take_the_value_with_the_largest_share() -> None:
    geometry = Geometry((6, 2, 2))
    labels = np.broadcast_to(np.array([7, 7, 7, 0, 0, 0], np.uint8), geometry.shape).copy()
    labels[:, :, 1] = 3
    result = resample_labels_to(labels, geometry, geometry.resampled((3.0, 1.0, 1.0)))
    np.testing.assert_array_equal(result, np.broadcast_to(np.array([7, 0]), (2, 2, 2)))


def test_where_shares_are_equal_the_first_class_wins() -> None:
    geometry = Geometry((3, 2, 2))
    equal = np.full(geometry.shape, 0.5, np.float32)
    both = (np.stack([plane, plane]) for plane in equal)
    assert not any(winners.any() for winners in largest_share(both, geometry, geometry))


@pytest.mark.parametrize("spacing_k_mm", [0.7, 2.0, 5.3])
def test_every_source_slice_is_read_once_and_in_order(spacing_k_mm: float) -> None:
    source = Geometry((3, 2, 40))
    target = source.resampled((1.0, 1.0, spacing_k_mm))
    read: list[int] = []

    def slice_of(k: int) -> np.ndarray:
        read.append(k)
        return np.zeros((2, 3), np.int16)

    assert sum(1 for _ in resampled_slices(slice_of, source, target)) == target.size[2]
    assert read == sorted(set(read))


def test_refuses_grids_of_another_direction() -> None:
    upright = Geometry((4, 4, 4))
    with pytest.raises(ValueError, match="direction"):
        resample_to(np.zeros((4, 4, 4)), upright, upright.flip(0).flip(1))


def _sphere_share(geometry: Geometry, radius_mm: float) -> np.ndarray:
    """Share of each voxel in a sphere around the grid's center region, from the signed distance to its surface."""
    k, j, i = np.indices(geometry.shape)
    center = np.array([31.3, 31.7, 29.2])
    distance = np.linalg.norm(geometry.index_to_lps(np.stack([i, j, k], axis=-1)) - center, axis=-1)
    return np.clip(0.5 + (radius_mm - distance) / np.cbrt(geometry.voxel_volume_mm3), 0, 1)


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(bool), b.astype(bool)
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))
