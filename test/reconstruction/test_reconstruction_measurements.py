"""Measurements against shapes whose volume, diameter and number are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.reconstruction.measurements import measure
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
