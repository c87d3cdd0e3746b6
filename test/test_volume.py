# SPDX-License-Identifier: Apache-2.0
"""The two types that flow, and the one place where left-handed grids are turned."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros.geometry import IDENTITY, Box, Geometry
from liver_seg_ros.volume import LabelVolume, Volume, make_right_handed, new_uid

MIRRORED = ((1, 0, 0), (0, 1, 0), (0, 0, -1))
OBLIQUE = ((0.6, -0.8, 0), (0.8, 0.6, 0), (0, 0, 1))


@given(
    size=st.tuples(*[st.integers(1, 6)] * 3),
    direction=st.sampled_from([IDENTITY, MIRRORED, OBLIQUE]),
    mirror=st.sets(st.integers(0, 2)),
)
def test_make_right_handed_keeps_every_voxel_at_its_place(
    size: tuple[int, int, int], direction: tuple, mirror: set[int]
) -> None:
    matrix = np.array(direction, dtype=float)
    matrix[:, list(mirror)] *= -1
    geometry = Geometry(size, (0.5, 1.5, 3.0), (-40.0, 7.0, 300.0), matrix)
    array = np.arange(np.prod(size)).reshape(geometry.shape)  # every voxel has its own value
    turned, right = make_right_handed(array, geometry)
    assert right.is_right_handed
    if geometry.is_right_handed:
        assert right == geometry
    k, j, i = np.indices(right.shape).reshape(3, -1)
    places = right.index_to_lps(np.stack([i, j, k], axis=1))
    old = np.rint(geometry.lps_to_index(places)).astype(int)
    assert (turned[k, j, i] == array[old[:, 2], old[:, 1], old[:, 0]]).all()


def test_voxels_are_read_only_and_the_given_array_is_not() -> None:
    array = np.zeros((2, 3, 4), np.int16)
    volume = Volume(array, Geometry((4, 3, 2)))
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1
    array[0, 0, 0] = 1  # its owner may still write


@pytest.mark.parametrize(
    ("kind", "dtype", "geometry", "message"),
    [
        (Volume, np.float32, Geometry((4, 3, 2)), "int16"),
        (Volume, np.int16, Geometry((2, 3, 4)), "shape"),
        (Volume, np.int16, Geometry((4, 3, 2), direction=MIRRORED), "left-handed"),
        (LabelVolume, np.int16, Geometry((4, 3, 2)), "uint8"),
        (LabelVolume, np.uint8, Geometry((4, 3, 2), direction=MIRRORED), "left-handed"),
    ],
)
def test_what_does_not_fit_is_refused(kind: type, dtype: type, geometry: Geometry, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(np.zeros((2, 3, 4), dtype), geometry)


@pytest.mark.parametrize(("kind", "dtype"), [(Volume, np.int16), (LabelVolume, np.uint8)])
def test_crop_keeps_values_places_and_uid(kind: type, dtype: type) -> None:
    array = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    whole = kind(array, Geometry((4, 3, 2), (1, 2, 3), (5, 6, 7), OBLIQUE))
    part = whole.crop(Box((1, 0, 1), (4, 2, 2)))
    assert part.uid == whole.uid
    assert (part.array == array[1:2, 0:2, 1:4]).all()
    assert np.allclose(part.geometry.index_to_lps([0, 0, 0]), whole.geometry.index_to_lps([1, 0, 1]))
    assert np.shares_memory(part.array, array)


def test_masks_and_counts() -> None:
    labels = LabelVolume(np.array([[[0, 1, 1], [2, 3, 3]]], np.uint8), Geometry((3, 2, 1)))
    assert labels.counts() == {"liver": 2, "tumor": 1, "vessel": 2}
    assert labels.mask(3).tolist() == [[[False, False, False], [False, True, True]]]


def test_boxes_and_counts_are_looked_for_once_and_of_each_part_anew() -> None:
    array = np.zeros((3, 4, 5), np.uint8)
    array[1:, 2, 3:] = 3
    array[0, 0, 0] = 1
    labels = LabelVolume(array, Geometry((5, 4, 3)))
    assert labels.boxes == {1: (slice(0, 1),) * 3, 3: (slice(1, 3), slice(2, 3), slice(3, 5))}
    assert labels.boxes is labels.boxes
    part = labels.crop(Box((3, 2, 2), (5, 4, 3)))
    assert part.boxes == {3: (slice(0, 1), slice(0, 1), slice(0, 2))}
    assert part.counts() == {"liver": 0, "tumor": 0, "vessel": 2}
    assert pickle.loads(pickle.dumps(labels)).boxes == labels.boxes


def test_uids_differ() -> None:
    assert new_uid() != new_uid()
