# SPDX-License-Identifier: Apache-2.0
"""Thin slices between thick ones: nearer to the truth, nothing lost, nothing cut."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest

from liver_seg_ros.files.volumes import read_labels
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.phantom.generator import generate_phantom
from liver_seg_ros.phantom.phantom_options import PhantomOptions
from liver_seg_ros.reconstruction.masks import StructureMask, structure_mask
from liver_seg_ros.reconstruction.meshes.interpolation import interpolate_slices, interpolated, thin_slices
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries
from liver_seg_ros.reconstruction.meshes.surfaces import extract_surface, surface_to_mesh
from liver_seg_ros.volume import LabelVolume

PIXEL_MM = (1.0, 1.0)


@pytest.mark.parametrize(
    ("spacing_mm", "count"),
    [((1, 1, 1), 1), ((1, 1, 2), 1), ((0.5, 0.5, 1.5), 1), ((0.7, 0.7, 2.5), 3), ((1, 1, 5), 5), ((0.6, 0.6, 7.5), 7)],
)
def test_slices_more_than_twice_as_thick_as_pixels_are_divided_into_an_odd_number(spacing_mm, count):
    assert thin_slices(spacing_mm) == count


def parts(mask) -> int:
    return cc3d.connected_components(mask, connectivity=26, return_N=True)[1]


def disks(*circles) -> np.ndarray:
    """`(K, 40, 60)` bool: one slice per circle `(j, i, radius)`; None leaves it empty."""
    array = np.zeros((len(circles), 40, 60), bool)
    j, i = np.indices(array.shape[1:])
    for plane, circle in zip(array, circles, strict=True):
        if circle:
            plane[(j - circle[0]) ** 2 + (i - circle[1]) ** 2 <= circle[2] ** 2] = True
    return array


def test_the_given_slices_stay_and_a_cone_becomes_a_cone():
    thick = disks(None, (20, 30, 15), (20, 30, 10), (20, 30, 5), None)
    thin = interpolate_slices(thick, 5, PIXEL_MM)
    assert np.array_equal(thin[2::5], thick)
    radius = np.sqrt(thin.sum(axis=(1, 2)) / np.pi)
    assert radius[7:18] == pytest.approx(np.linspace(15, 5, 11), abs=0.4)
    assert (np.diff(radius[7:18]) < 0).all()  # no two alike: no terraces


def test_the_first_and_last_slice_end_in_rounded_caps_within_a_slice():
    thin = interpolate_slices(disks(None, (20, 30, 12), (20, 30, 12), None), 7, PIXEL_MM)
    area = thin.sum(axis=(1, 2)) / (np.pi * 144)
    above = area[2 * 7 + 4 : 3 * 7 + 4]  # from the middle of the last slice to that of the empty one
    assert (np.diff(above) <= 0).all() and above[0] > 0.7 and above[-1] == 0
    assert above.sum() / 7 == pytest.approx(0.34 - 1 / 14, abs=0.1)  # the slice itself has half a thin one of it
    assert np.array_equal(thin[:14][::-1], thin[14:])  # the same below


@pytest.mark.parametrize("radius", [1, 2, 5])
def test_an_oblique_branch_that_overlaps_no_slice_is_neither_cut_nor_lost(radius):
    thick = disks(None, *((20, 8 + n * (2 * radius + 1), radius) for n in range(4)), None)
    assert not (thick[1:-2] & thick[2:-1]).any()
    assert parts(thick) == 1
    thin = interpolate_slices(thick, 7, PIXEL_MM)
    assert parts(thin) == 1
    middle = [np.argwhere(plane).mean(axis=0) for plane in thin[7 + 3 : 4 * 7 + 4]]
    straight = np.linspace(8, 8 + 3 * (2 * radius + 1), len(middle))
    np.testing.assert_allclose(np.array(middle)[:, 1], straight, atol=0.6)  # it slides from slice to slice
    area = thin.sum(axis=(1, 2))[7 + 3 : 4 * 7 + 4]
    assert area.min() > 0.4 * area.max()


def test_what_does_not_touch_stays_apart():
    thick = disks(None, (20, 10, 3), (20, 20, 3), None)
    thin = interpolate_slices(thick, 7, PIXEL_MM)
    assert parts(thin) == 2


def test_a_single_voxel_keeps_its_place_and_about_its_volume():
    thick = np.zeros((3, 5, 5), bool)
    thick[1, 2, 2] = True
    thin = interpolate_slices(thick, 5, PIXEL_MM)
    assert thin[7, 2, 2]
    assert 1 <= thin.sum() <= 5


@pytest.fixture(scope="module")
def thick_and_fine() -> tuple[LabelVolume, LabelVolume]:
    """A phantom at 1.5 mm, and every fourth of its slices: 6 mm."""
    fine = generate_phantom(9103, PhantomOptions((160, 140, 130), (1.5, 1.5, 1.5), tumor_count=4)).labels
    i_mm, j_mm, k_mm = fine.geometry.spacing_mm
    array = np.ascontiguousarray(fine.array[::4])
    geometry = Geometry(array.shape[::-1], (i_mm, j_mm, 4 * k_mm), fine.geometry.origin_mm)
    return LabelVolume(array, geometry), fine


@pytest.mark.parametrize(
    ("structure", "gain"), [(LIVER, 1.6), (TUMOR, 1.2), (VESSEL, 1.05)], ids=["liver", "tumor", "vessel"]
)
def test_surfaces_of_thick_slices_are_nearer_to_the_truth_with_interpolation(thick_and_fine, structure, gain):
    thick, fine = thick_and_fine
    mask, truth = structure_mask(thick, structure), structure_mask(fine, structure)
    truth = surface_to_mesh(extract_surface(truth), truth)

    def mean_distance_mm(shape: StructureMask) -> float:
        mesh = surface_to_mesh(extract_surface(shape, counted=mask), shape)
        there = SurfaceQueries(truth).nearest(mesh.vertices_mm)[0].mean()
        return (there + SurfaceQueries(mesh).nearest(truth.vertices_mm)[0].mean()) / 2

    assert mean_distance_mm(mask) / mean_distance_mm(interpolated(mask)) > gain


@pytest.mark.parametrize("name", ["crlm_ct_1094", "crlm_ct_1161"])
def test_real_vessels_in_thick_slices_keep_every_voxel_and_every_part(shared_data, name):
    # Masks of hepatic vessels; their value 1 is not the liver. A folder of another name fails: it was renamed once.
    read = read_labels(shared_data / "vessel_masks_fullres" / f"{name}.nii.gz")
    labels = LabelVolume((read.array > 0).astype(np.uint8) * np.uint8(VESSEL.value), read.geometry)
    mask = structure_mask(labels, VESSEL)
    shape = interpolated(mask)
    count = len(shape.array) // len(mask.array)
    assert count == 7
    assert np.array_equal(shape.array[count // 2 :: count], mask.array)
    before = cc3d.connected_components(mask.array, connectivity=26)
    after = cc3d.connected_components(shape.array, connectivity=26)
    pairs = np.unique(np.stack([before[mask.array], after[count // 2 :: count][mask.array]], axis=1), axis=0)
    assert len(pairs) == before.max() == after.max()
