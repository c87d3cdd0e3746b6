# SPDX-License-Identifier: Apache-2.0
"""Bridging: what touches over an edge or a corner becomes one, nothing else does."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import VESSEL
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.reconstruction.meshes.bridging import bridged
from liver_seg_ros.reconstruction.meshes.surfaces import extract_surface
from liver_seg_ros.reconstruction.meshes.triangles import is_watertight, parts_of_vertices
from liver_seg_ros.volume import LabelVolume


@given(arrays(bool, (5, 6, 4)))
def test_what_is_joined_over_edges_and_corners_is_joined_over_faces(array):
    mask = np.pad(array, 1)
    whole = bridged(mask)
    assert whole[mask].all()
    before = cc3d.connected_components(mask, connectivity=26)
    after = cc3d.connected_components(whole, connectivity=6)
    assert len(np.unique(np.stack([before[mask], after[mask]], axis=1), axis=0)) == before.max()
    assert np.isin(after, after[mask], invert=True)[whole].sum() == 0  # nothing new lies by itself


def test_branches_side_by_side_are_not_joined():
    mask = np.zeros((20, 20, 20), bool)
    for n in range(3, 12):
        mask[n, n, 5] = mask[n, n, 7] = mask[n, 15, n] = True
    _, count = cc3d.connected_components(bridged(mask), connectivity=6, return_N=True)
    assert count == cc3d.connected_components(mask, connectivity=26, return_N=True)[1] == 3


def test_what_touches_over_faces_is_left_alone():
    mask = np.pad(np.ones((3, 4, 5), bool), 1)
    assert np.array_equal(bridged(mask), mask)


@pytest.mark.parametrize("step", [(0, 1, 1), (1, 0, -1), (1, 1, 1), (1, -1, 1)])
def test_a_branch_one_voxel_wide_that_runs_diagonally_is_one_closed_surface(step):
    array = np.zeros((24, 24, 24), np.uint8)
    for n in range(8):
        array[tuple(12 + (n - 4) * np.array(step))] = VESSEL.value
    surface = extract_surface(structure_mask(LabelVolume(array, Geometry((24, 24, 24))), VESSEL))
    assert is_watertight(surface.triangles, len(surface.vertices_mm))
    assert parts_of_vertices(surface.triangles, len(surface.vertices_mm))[0] == 1
