# SPDX-License-Identifier: Apache-2.0
"""The region that the localizer leaves to the fine network: a padded box, and in it what is near the liver."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.liver_place import LiverPlace, place_of


def near_voxels(place: LiverPlace) -> NDArray[np.bool_]:
    return np.stack(list(place.near.slices()))


@given(
    spacing=st.tuples(*[st.floats(0.6, 6.0)] * 3),
    corner=st.tuples(*[st.integers(0, 8)] * 3),
    margin_mm=st.floats(0, 20),
)
def test_near_is_what_lies_within_half_the_margin(
    spacing: tuple[float, float, float], corner: tuple[int, int, int], margin_mm: float
) -> None:
    extent_mm = np.array([48.0, 44.0, 40.0])
    i, j, k = (max(1, round(e / s)) for e, s in zip(extent_mm, spacing, strict=True))
    geometry = Geometry((i, j, k), spacing)
    coarse = geometry.resampled((4.0, 4.0, 4.0))
    liver = np.zeros(coarse.shape, bool)
    liver[tuple(slice(c, c + 2) for c in np.minimum(corner[::-1], np.array(liver.shape) - 1))] = True
    place = place_of(liver, coarse, geometry, margin_mm)
    assert place is not None
    near = np.zeros(geometry.shape, bool)
    near[place.box.slices] = near_voxels(place)
    distance_mm, _ = cKDTree(coarse.index_to_lps(np.argwhere(liver)[:, ::-1])).query(
        geometry.index_to_lps(np.argwhere(np.ones(geometry.shape, bool))[:, ::-1])
    )
    distance_mm = distance_mm.reshape(geometry.shape)
    # A voxel stands for the coarse voxel that it lies in, whose center is at most half a diagonal away.
    slack_mm = 4.0 * np.sqrt(3) / 2 + max(spacing)
    assert not near[distance_mm > margin_mm / 2 + slack_mm].any()
    assert near[distance_mm < margin_mm / 2 - slack_mm].all()


def test_what_only_the_box_holds_is_not_near() -> None:
    """A long left lobe stretches the box over the spleen."""
    geometry = Geometry((60, 60, 20), (2.0, 2.0, 4.0))
    coarse = geometry.resampled((4.0, 4.0, 4.0))
    liver = np.zeros(coarse.shape, bool)
    liver[8:12, 2:28, 2:6] = True
    liver[8:12, 2:6, 2:28] = True  # an L: the box's far corner is empty
    place = place_of(liver, coarse, geometry, 12.0)
    assert place is not None and place.box.size[0] > 50 and place.box.size[1] > 50
    near = near_voxels(place)
    assert not near[:, 30:, 30:].any() and near[4, 8, 40] and near[4, 40, 8]


def test_no_liver_has_no_place() -> None:
    geometry = Geometry((8, 8, 8))
    assert place_of(np.zeros((8, 8, 8), bool), geometry, geometry, 10.0) is None


@pytest.mark.parametrize("margin_mm", [0.0, 5.0, 500.0])
def test_the_box_stays_on_the_grid(margin_mm: float) -> None:
    geometry = Geometry((9, 11, 13), (1.0, 2.0, 3.0))
    place = place_of(np.ones(geometry.shape, bool), geometry, geometry, margin_mm)
    assert place is not None and place.box.size == geometry.size and near_voxels(place).all()
