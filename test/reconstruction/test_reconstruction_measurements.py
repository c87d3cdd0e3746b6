# SPDX-License-Identifier: Apache-2.0
"""Measurements against shapes whose volume, diameter and number are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, PORTAL_VEIN, TUMOR, VESSEL
from liver_seg_ros.reconstruction.measuring.structures import measure
from liver_seg_ros.volume import LabelVolume


def ball(center, radius):
    return lambda points: np.linalg.norm(points - center, axis=-1) <= radius


def test_lesions_are_counted_measured_and_placed(painted, oblique):
    large, small = oblique.index_to_lps((20, 30, 20)), oblique.index_to_lps((48, 30, 20))
    labels = painted(oblique, (TUMOR.value, ball(large, 12)), (TUMOR.value, ball(small, 6)))
    tumor = {m.structure.name: m for m in measure(labels)}["tumor"]
    assert tumor.count == len(tumor.parts) == 2
    for part, center, radius in zip(tumor.parts, (large, small), (12, 6), strict=True):
        assert part.volume_ml == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.03)
        assert part.largest_diameter_mm == pytest.approx(2 * radius, abs=1.7)  # a voxel
        assert part.center_mm == pytest.approx(center, abs=0.2)
    assert tumor.largest_diameter_mm == tumor.parts[0].largest_diameter_mm
    assert tumor.volume_ml == pytest.approx(sum(part.volume_ml for part in tumor.parts))


def test_the_diameter_is_exact(painted):
    random = np.random.default_rng(2)
    geometry = Geometry((12, 11, 9), (0.7, 0.9, 2.5))
    array = (random.random(geometry.shape) < 0.7).astype(np.uint8) * np.uint8(VESSEL.value)
    vessel = measure(LabelVolume(array, geometry))[2]
    centers = np.argwhere(array)[:, ::-1]
    faces = np.concatenate([np.eye(3), -np.eye(3)]) / 2
    points = (centers[:, None] + faces).reshape(-1, 3) * geometry.spacing_mm
    assert vessel.count == 1
    assert vessel.largest_diameter_mm == pytest.approx(pdist(points).max(), rel=1e-9)


@pytest.mark.parametrize(
    ("box", "diameter_mm"),
    [
        ((1, 1, 1), 3.0),  # between the faces across the thick axis
        ((5, 1, 1), 5.0),
        ((5, 4, 1), np.hypot(np.hypot(4, 3), 3.0)),  # from the top of one corner voxel to the bottom of another
    ],
)
def test_flat_and_single_voxels_have_a_diameter(box, diameter_mm):
    array = np.zeros((3, 6, 7), np.uint8)
    i, j, k = box
    array[1 : 1 + k, 1 : 1 + j, 1 : 1 + i] = TUMOR.value
    tumor = measure(LabelVolume(array, Geometry((7, 6, 3), (1.0, 1.0, 3.0))))[1]
    assert tumor.largest_diameter_mm == pytest.approx(diameter_mm, rel=1e-6)


def test_the_diameter_is_that_of_one_part(painted):
    labels = painted(
        Geometry((64, 20, 20)), (VESSEL.value, ball([8, 10, 10], 4)), (VESSEL.value, ball([50, 10, 10], 7))
    )
    vessel = measure(labels)[2]
    assert vessel.count == 2
    assert vessel.largest_diameter_mm == pytest.approx(15, abs=0.5)


def test_the_liver_is_measured_as_the_organ_and_the_others_by_their_own_voxels(painted):
    grid = Geometry((50, 50, 50), (2.0, 1.0, 1.0))
    layers = [(LIVER.value, ball([50, 25, 25], 20)), (TUMOR.value, ball([45, 25, 25], 5))]
    labels = painted(grid, *layers, (VESSEL.value, ball([60, 25, 25], 3)))
    liver, tumor, vessel = measure(labels)
    assert liver.volume_ml == pytest.approx(np.count_nonzero(labels.array) * 2.0 / 1000)
    assert tumor.volume_ml == pytest.approx(labels.counts()["tumor"] * 2.0 / 1000)
    assert vessel.volume_ml == pytest.approx(labels.counts()["vessel"] * 2.0 / 1000)
    assert liver.triangles is None and liver.watertight is None


def test_nothing_is_measured_as_zero_and_goes_through_json():
    measurements = measure(LabelVolume(np.zeros((3, 4, 5), np.uint8), Geometry((5, 4, 3))))
    assert [m.structure.name for m in measurements] == ["liver", "tumor", "vessel"]
    assert all((m.volume_ml, m.largest_diameter_mm, m.count, m.parts) == (0.0, 0.0, 0, ()) for m in measurements)
    assert json.loads(json.dumps([m.to_dict() for m in measurements]))[1]["structure"] == "tumor"


def test_lesions_go_through_json(painted):
    labels = painted(Geometry((20, 20, 20)), (TUMOR.value, ball([10, 10, 10], 4)))
    plain = json.loads(json.dumps(measure(labels)[1].to_dict(), allow_nan=False))
    assert plain["parts"][0]["center_mm"] == pytest.approx([10, 10, 10])


def ellipsoid(center, radii, turn):
    return lambda points: (((points - center) @ turn / radii) ** 2).sum(axis=-1) <= 1


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=50)
@given(seed=SEEDS)
def test_the_truth_of_an_ellipsoid_lies_within_the_uncertainties_wherever_and_however_it_lies(painted, seed):
    """Three voxels wide or more, in voxels of any shape, turned, on a grid that is turned about the patient's axis."""
    random = np.random.default_rng(seed)
    in_plane, between = random.uniform(0.5, 1.5), random.uniform(0.5, 4)
    radii = random.uniform(1.5, 5, 3) * max(in_plane, between)
    turn = Rotation.random(rng=random).as_matrix()
    about_z = Rotation.from_rotvec([0, 0, random.uniform(0, 6)]).as_matrix()
    half = np.linalg.norm(about_z.T @ turn * radii, axis=1)  # of its box along the grid's axes
    size = np.ceil(2 * half / [in_plane, in_plane, between]).astype(int) + 3
    geometry = Geometry(tuple(size), (in_plane, in_plane, between), (-40, 70, 900), tuple(map(tuple, about_z)))
    center = geometry.index_to_lps((size - 1) / 2 + random.uniform(-0.5, 0.5, 3))
    tumor = measure(painted(geometry, (TUMOR.value, ellipsoid(center, radii, turn))))[1]
    (lesion,) = tumor.parts
    assert lesion.volume_ml == pytest.approx(
        4 / 3 * np.pi * radii.prod() / 1000, abs=lesion.volume_uncertainty_ml, rel=0
    )
    assert lesion.largest_diameter_mm == pytest.approx(2 * radii.max(), abs=lesion.diameter_uncertainty_mm, rel=0)
    inverse = turn @ np.diag(radii**-2.0) @ turn.T
    short, long = 2 / np.sqrt(np.linalg.eigvalsh(inverse[:2, :2])[::-1])  # of the axial slice through its center
    assert lesion.axial.long_mm == pytest.approx(long, abs=lesion.axial.uncertainty_mm, rel=0)
    assert lesion.axial.short_mm == pytest.approx(short, abs=lesion.axial.uncertainty_mm, rel=0)
    assert tumor.axial == lesion.axial
    assert tumor.volume_uncertainty_ml == pytest.approx(lesion.volume_uncertainty_ml)


@settings(max_examples=20)
@given(seed=SEEDS)
def test_true_gaps_between_balls_lie_within_the_uncertainty(painted, oblique, seed):
    random = np.random.default_rng(seed)
    liver, tumor = oblique.index_to_lps((32, 32, 20)), oblique.index_to_lps(random.uniform([25, 25, 16], [39, 39, 24]))
    away = random.normal(size=3)
    vessel = tumor + away / np.linalg.norm(away) * random.uniform(7, 14)
    radii = {"liver": 26.0, "tumor": 5.0, "vessel": 2.5}
    labels = painted(
        oblique,
        (LIVER.value, ball(liver, radii["liver"])),
        (TUMOR.value, ball(tumor, radii["tumor"])),
        (PORTAL_VEIN.value, ball(vessel, radii["vessel"])),
    )
    (lesion,) = next(m for m in measure(labels) if m.structure == TUMOR).parts
    to_vessel = max(0.0, np.linalg.norm(vessel - tumor) - radii["tumor"] - radii["vessel"])
    to_capsule = radii["liver"] - np.linalg.norm(tumor - liver) - radii["tumor"]
    assert lesion.to_vessel.structure == PORTAL_VEIN and lesion.to_capsule.structure == LIVER
    assert lesion.to_vessel.distance_mm == pytest.approx(to_vessel, abs=lesion.to_vessel.uncertainty_mm)
    assert lesion.to_capsule.distance_mm == pytest.approx(to_capsule, abs=lesion.to_capsule.uncertainty_mm)
    for gap, structure_center, radius in ((lesion.to_vessel, vessel, 2.5), (lesion.to_capsule, liver, 26.0)):
        assert np.linalg.norm(np.subtract(gap.from_mm, gap.to_mm)) == pytest.approx(gap.distance_mm, abs=1e-5)
        assert np.linalg.norm(gap.from_mm - tumor) == pytest.approx(5.0, abs=1.2)
        assert np.linalg.norm(gap.to_mm - structure_center) == pytest.approx(radius, abs=1.2)
    assert lesion.touches_border is False


def test_the_axial_diameter_is_that_of_the_widest_slice_with_its_ends_in_it():
    array = np.zeros((5, 20, 20), np.uint8)
    array[1, 5:7, 2:12] = TUMOR.value  # 10 x 2
    array[2, 3:9, 4:7] = TUMOR.value  # 3 x 6
    geometry = Geometry((20, 20, 5), (1.0, 1.0, 4.0), (100.0, 0.0, 0.0))
    axial = measure(LabelVolume(array, geometry))[1].parts[0].axial
    assert axial.long_mm == pytest.approx(np.hypot(10, 1))  # between the middles of two edges
    assert axial.short_mm == pytest.approx(2, abs=0.1)
    assert np.array(axial.long_ends_mm + axial.short_ends_mm)[:, 2] == pytest.approx(4.0)
    assert np.ptp(np.array(axial.long_ends_mm)[:, 0]) == pytest.approx(10)
    long, short = (np.diff(ends, axis=0)[0] for ends in (axial.long_ends_mm, axial.short_ends_mm))
    assert np.linalg.norm(long) == pytest.approx(axial.long_mm) and np.linalg.norm(short) == pytest.approx(
        axial.short_mm
    )
    assert long @ short == pytest.approx(0, abs=1e-9)


def test_the_axial_diameter_may_be_missed_between_thick_slices_and_says_so(painted):
    grid = Geometry((40, 40, 6), (0.5, 0.5, 6.0))
    (lesion,) = measure(painted(grid, (TUMOR.value, ball([10, 10, 15], 8))))[1].parts  # midway between two slices
    assert lesion.axial.long_mm == pytest.approx(2 * np.sqrt(8**2 - 3**2), abs=0.5)
    assert 16 - lesion.axial.long_mm > np.hypot(0.5, 0.5)  # more than the pixels account for
    assert lesion.axial.long_mm == pytest.approx(16, abs=lesion.axial.uncertainty_mm)


def test_axial_is_axial_to_the_patient_whatever_way_the_slices_run():
    """A rod along the patient's axis, in coronal slices: its long axis is not in an axial slice."""
    array = np.zeros((6, 20, 8), np.uint8)
    array[1:4, 2:18, 2:7] = TUMOR.value  # 3 to the back, 16 up, 5 to the left
    coronal = Geometry((8, 20, 6), direction=((1, 0, 0), (0, 0, -1), (0, 1, 0)))
    lesion = measure(LabelVolume(array, coronal))[1].parts[0]
    assert lesion.largest_diameter_mm > 16 and lesion.axial.long_mm == pytest.approx(np.hypot(5, 2))
    (_, _, z), (_, _, other_z) = lesion.axial.long_ends_mm
    assert z == other_z


def test_what_touches_has_no_distance_and_what_is_not_there_has_none(painted):
    grid = Geometry((60, 40, 40), (1.3, 1.0, 1.0))
    tumors = [(TUMOR.value, ball([15, 20, 20], 5)), (TUMOR.value, ball([70, 20, 20], 3))]
    labels = painted(grid, (LIVER.value, ball([25, 20, 20], 16)), *tumors)
    array = labels.array.copy()
    array[20, 20, 16:20] = HEPATIC_VEIN.value  # next to the larger lesion, not in the smaller one's way
    inside, outside = next(m for m in measure(LabelVolume(array, grid)) if m.structure == TUMOR).parts
    assert (inside.to_vessel.structure, inside.to_vessel.distance_mm) == (HEPATIC_VEIN, 0.0)
    assert inside.to_capsule.distance_mm > 0 and outside.to_capsule is None
    without = measure(labels)[1].parts[0]
    assert without.to_vessel is None and without.to_capsule == inside.to_capsule
    bare = painted(grid, (LIVER.value, ball([25, 20, 20], 10)), (TUMOR.value, ball([35, 20, 20], 4)))
    assert measure(bare)[1].parts[0].to_capsule.distance_mm == 0.0


def test_the_border_of_the_scan_is_no_capsule(painted):
    grid = Geometry((40, 40, 20))
    liver = (LIVER.value, ball([20, 20, -5], 18))  # cut in the middle
    (lesion,) = measure(painted(grid, liver, (TUMOR.value, ball([20, 20, 0], 3))))[1].parts
    assert lesion.touches_border is True
    assert lesion.to_capsule.distance_mm == pytest.approx(18 - 5 - 3, abs=lesion.to_capsule.uncertainty_mm)
    everywhere = np.full((6, 6, 6), LIVER.value, np.uint8)
    everywhere[3, 3, 3] = TUMOR.value
    (lesion,) = measure(LabelVolume(everywhere, Geometry((6, 6, 6))))[1].parts
    assert lesion.to_capsule is None and lesion.touches_border is False


def test_a_hole_in_the_liver_is_not_its_capsule(painted):
    grid = Geometry((50, 50, 50))
    layers = [(LIVER.value, ball([25, 25, 25], 22)), (0, ball([25, 25, 17], 4)), (TUMOR.value, ball([25, 25, 25], 3))]
    (lesion,) = measure(painted(grid, *layers))[1].parts
    assert lesion.to_capsule.distance_mm == pytest.approx(19, abs=lesion.to_capsule.uncertainty_mm)


def test_one_voxel_is_measured_and_so_is_one_of_two_livers():
    array = np.zeros((5, 5, 9), np.uint8)
    array[2, 2, 1], array[1:4, 1:4, 5:8] = TUMOR.value, LIVER.value
    liver, tumor, _ = measure(LabelVolume(array, Geometry((9, 5, 5))))
    (lesion,) = tumor.parts
    assert (lesion.volume_ml, lesion.volume_uncertainty_ml) == (0.001, 0.003)
    assert (lesion.axial.long_mm, lesion.axial.short_mm) == (1.0, 1.0)
    assert liver.count == 2 and liver.axial.long_mm == pytest.approx(np.hypot(3, 2))


def test_labels_without_a_liver_have_none(painted) -> None:
    """As in data sets of tumors and vessels alone: their tumors are no liver."""
    grid = Geometry((30, 30, 30))
    labels = painted(grid, (VESSEL.value, ball([10, 10, 10], 5)), (TUMOR.value, ball([20, 20, 20], 5)))
    liver, tumor, vessel = measure(labels)
    assert liver.volume_ml == 0 and tumor.volume_ml > 0.4 and vessel.volume_ml > 0.4
    with_liver = painted(grid, (LIVER.value, ball([20, 20, 20], 6)), (TUMOR.value, ball([20, 20, 20], 5)))
    assert measure(with_liver)[0].volume_ml > measure(with_liver)[1].volume_ml
