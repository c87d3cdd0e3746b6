# SPDX-License-Identifier: Apache-2.0
"""Refinement by the surface: found from a few millimetres off, refused where it cannot be right."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.surface_registration import refine_by_surface
from liver_seg_ros.planning.transform import RigidTransform
from liver_seg_ros.reconstruction.pipeline import reconstruct
from liver_seg_ros.volume import LabelVolume

TRUE = RigidTransform.of(Rotation.from_rotvec([0.4, -1.0, 2.0]).as_matrix(), [300.0, -50, 20])


@pytest.fixture(scope="module")
def organ() -> Mesh:
    """Something without symmetry, as large as a liver: three balls grown together, far from the origin."""
    geometry = Geometry((60, 60, 50), (3.0, 3.0, 3.0), (-100.0, 50.0, 900.0))
    k, j, i = np.indices(geometry.shape)
    points = geometry.index_to_lps(np.stack([i, j, k], axis=-1))
    balls = [((-40, 130, 960), 45), ((20, 150, 990), 35), ((-20, 170, 950), 30)]
    inside = np.any([np.linalg.norm(points - center, axis=-1) < radius for center, radius in balls], axis=0)
    return reconstruct(LabelVolume(inside.astype(np.uint8), geometry)).meshes[0]


def measured(organ: Mesh, noise_mm: float = 0.5) -> np.ndarray:
    """Points of the front half of the surface, as a camera sees it, in the source frame."""
    random = np.random.default_rng(1)
    front = organ.vertices_mm[organ.normals[:, 1] < 0]
    points = front[random.choice(len(front), 800)] + random.normal(0, noise_mm, (800, 3))
    return TRUE.inverse().apply(points)


def off_by(shift_mm: float, turn_deg: float, organ: Mesh) -> RigidTransform:
    center = organ.vertices_mm.mean(axis=0)
    turn = Rotation.from_rotvec(np.radians(turn_deg) * np.array([0.6, 0.0, 0.8])).as_matrix()
    wrong = RigidTransform.of(turn, center - turn @ center + shift_mm * np.array([0.6, 0.8, 0.0]))
    return RigidTransform(wrong.matrix @ TRUE.matrix)


def test_a_part_of_the_surface_brings_an_inexact_registration_to_its_place(organ):
    points = measured(organ)
    found = refine_by_surface(points, organ, off_by(5.0, 4.0, organ))
    assert found.accepted and found.reason == ""
    inside = organ.vertices_mm.mean(axis=0) + np.array([[0, 0, 0], [30, 0, 0], [0, -20, 20]])
    errors = np.linalg.norm(found.transform.apply(TRUE.inverse().apply(inside)) - inside, axis=1)
    assert errors.max() < 0.3
    assert found.fitness > 0.99 and found.residual_mm == pytest.approx(0.5, abs=0.1)
    assert found.initial_fitness < 0.7 and 5 < found.moved_mm < 20
    again = refine_by_surface(points, organ, off_by(5.0, 4.0, organ))
    assert again.transform.matrix == pytest.approx(found.transform.matrix, abs=1e-6)  # sums of threads, in any order


@pytest.mark.parametrize(
    ("shift_mm", "turn_deg", "reason"),
    [(30.0, 40.0, "moved"), (400.0, 0.0, "0% of the points"), (0.0, 0.0, "no nearer than before")],
)
def test_what_diverges_or_fits_no_better_keeps_the_initial_transform_and_says_why(organ, shift_mm, turn_deg, reason):
    initial = off_by(shift_mm, turn_deg, organ)
    points = measured(organ, 0.5)
    if reason.startswith("no nearer"):
        points = TRUE.inverse().apply(organ.vertices_mm[::10])  # there already, to the last digit
    found = refine_by_surface(points, organ, initial)
    assert not found.accepted and reason in found.reason
    assert found.transform is initial
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["accepted"] is False


def test_points_of_another_surface_are_refused(organ):
    elsewhere = np.random.default_rng(0).normal(0, 80, (500, 3)) + TRUE.inverse().apply(organ.vertices_mm.mean(axis=0))
    assert not refine_by_surface(elsewhere, organ, TRUE).accepted


def test_bad_input_is_refused_with_one_line(organ):
    points = measured(organ)
    empty = Mesh(LIVER, np.empty((0, 3), np.float32), np.empty((0, 3), np.int32), np.empty((0, 3), np.float32))
    with pytest.raises(InputError, match="give 30 or more"):
        refine_by_surface(points[:3], organ, TRUE)
    with pytest.raises(InputError, match="2 surface points are not finite"):
        refine_by_surface(np.concatenate([points, np.full((2, 3), np.nan)]), organ, TRUE)
    with pytest.raises(InputError, match="the liver has no triangles"):
        refine_by_surface(points, empty, TRUE)
    with pytest.raises(InputError, match="reach of 20 mm"):
        refine_by_surface(points, organ, TRUE, reach_mm=20)
