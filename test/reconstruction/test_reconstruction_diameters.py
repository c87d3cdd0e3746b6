# SPDX-License-Identifier: Apache-2.0
"""Diameters of small parts of any shape, against all pairs of faces and all chords."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.reconstruction.measuring.diameters import (
    axial_diameter,
    diameter_uncertainty_mm,
    largest_diameter_mm,
)

SPACING_MM = (0.8, 1.1, 2.5)
SEEDS = st.integers(0, 2**32 - 1)
#: Index axes (i, j, k) along LPS: k, then j, then i runs up the patient.
UPWARD = {
    2: ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    1: ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    0: ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)),
}


def part(seed: int) -> NDArray[np.bool_]:
    """Scattered voxels, boxes and single ones, never none."""
    random = np.random.default_rng(seed)
    array = random.random(random.integers(1, 7, 3)) < random.choice([0.05, 0.3, 0.9])
    array.flat[random.integers(array.size)] = True
    return array


def faces_mm(array: NDArray[np.bool_], dimensions: int = 3) -> NDArray[np.float64]:
    """Centers of the faces of all voxels, or of the edges of all pixels, in file order."""
    half = np.concatenate([np.eye(dimensions), -np.eye(dimensions)]) / 2
    return (np.argwhere(array)[:, None, ::-1] + half).reshape(-1, dimensions)


@settings(max_examples=80)
@given(seed=SEEDS)
def test_the_largest_diameter_is_that_of_all_pairs_of_faces(seed: int) -> None:
    array = part(seed)
    expected = pdist(faces_mm(array) * SPACING_MM).max()
    assert largest_diameter_mm(array, SPACING_MM) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=80)
@given(seed=SEEDS, upward=st.sampled_from(sorted(UPWARD)))
def test_the_axial_diameter_is_the_largest_of_all_slices_across_the_patient(seed: int, upward: int) -> None:
    array = part(seed)
    geometry = Geometry(array.shape[::-1], SPACING_MM, (5.0, -6.0, 7.0), UPWARD[upward])
    found = axial_diameter(array, geometry)
    in_plane = [axis for axis in (0, 1, 2) if axis != upward]
    pixel_mm = np.array(SPACING_MM)[in_plane]
    slices = [np.take(array, n, axis=2 - upward) for n in range(array.shape[2 - upward])]
    longest = [pdist(faces_mm(one, 2) * pixel_mm).max() if one.any() else 0.0 for one in slices]
    assert found.long_mm == pytest.approx(max(longest), abs=1e-9)
    taken = [n for n, one in enumerate(slices) if one.any()]
    missed = 1 - np.sqrt(1 - 1 / (taken[-1] - taken[0] + 1) ** 2)
    assert found.uncertainty_mm == pytest.approx(np.linalg.norm(pixel_mm) + missed * max(longest))
    # Both lie in one slice, which has that diameter; at right angles; the one as long as it is said.
    long, short = (geometry.lps_to_index(np.array(ends)) for ends in (found.long_ends_mm, found.short_ends_mm))
    [number] = {round(float(n), 6) for n in (*long[:, upward], *short[:, upward])}
    assert longest[int(number)] == pytest.approx(max(longest))
    along, across = ((ends[1] - ends[0])[in_plane] * pixel_mm for ends in (long, short))
    assert np.linalg.norm(along) == pytest.approx(found.long_mm)
    assert np.linalg.norm(across) == pytest.approx(found.short_mm)
    assert along @ across == pytest.approx(0, abs=1e-9)
    # The chord is the longest at a right angle to it: of the hull cut at each of its corners.
    hull = faces_mm(slices[int(number)], 2) * pixel_mm
    hull = hull[ConvexHull(hull).vertices]
    u, v = np.stack([along, [-along[1], along[0]]]) / np.linalg.norm(along) @ hull.T
    assert np.linalg.norm(across) == pytest.approx(max(width(u, v, at) for at in u), abs=1e-9)
    assert np.linalg.norm(hull[:, None] - long[:, in_plane] * pixel_mm, axis=2).min(axis=0) == pytest.approx(
        0, abs=1e-9
    )


def width(u: NDArray[np.float64], v: NDArray[np.float64], at: float) -> float:
    """How wide a convex polygon of corners `(u, v)` is where u is `at`."""
    met = []
    for a, b in zip(np.stack([u, v], 1), np.roll(np.stack([u, v], 1), -1, axis=0), strict=True):
        low, high = sorted((a[0], b[0]))
        if low - 1e-12 <= at <= high + 1e-12:
            share = [0.0, 1.0] if high - low < 1e-12 else [(at - a[0]) / (b[0] - a[0])]
            met += [a[1] + s * (b[1] - a[1]) for s in share]
    return max(met) - min(met)


def test_a_diameter_is_uncertain_by_a_diagonal_of_the_voxel() -> None:
    assert diameter_uncertainty_mm((2.0, 3.0, 6.0)) == 7
