# SPDX-License-Identifier: Apache-2.0
"""A patient registered by landmarks, by the surface, by both; what is asked for halfway is refused."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import LIVER
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.patient_registration import register_patient
from liver_seg_ros.planning.transform import RigidTransform

CT_MM = np.array([[-90.0, -60, 900], [70, 20, 880], [-40, 95, 930], [15, 50, 1060], [-30, -20, 790], [80, -70, 1000]])


def robot(seed: int) -> RigidTransform:
    random = np.random.default_rng(seed)
    return RigidTransform.of(Rotation.random(rng=random).as_matrix(), random.uniform(-500, 500, 3))


@given(seed=st.integers(0, 2**32 - 1), noise_mm=st.floats(0, 2))
def test_a_motion_is_found_within_its_noise_and_the_pose_for_the_nodes_undoes_it(seed, noise_mm):
    to_ct, noise = robot(seed), np.random.default_rng(seed).uniform(-noise_mm, noise_mm, CT_MM.shape)
    measured = to_ct.inverse().apply(CT_MM) + noise
    found = register_patient((measured, CT_MM))
    target = np.array([-20.0, 10, 930])
    there = found.transform.inverse().apply(target)
    assert np.linalg.norm(there - to_ct.inverse().apply(target)) <= 2 * np.sqrt(3) * noise_mm + 1e-6
    plain = found.to_dict([target])
    pose = plain["ct_in_measured"]
    by_pose = Rotation.from_quat(pose["rotation_xyzw"]).apply(target / 1000) + pose["translation_m"]
    assert by_pose * 1000 == pytest.approx(there, abs=1e-6)
    assert np.array(plain["matrix"]) @ plain["inverse"] == pytest.approx(np.eye(4), abs=1e-9)
    assert plain["surface"] is None and len(plain["landmarks"]["predicted_tre_mm"]) == 1


@pytest.fixture(scope="module")
def liver() -> Mesh:
    """Without symmetry: an ellipsoid with a bulge."""
    body = trimesh.creation.icosphere(subdivisions=4)
    vertices = np.array(body.vertices)
    bulge = np.exp(-4 * np.linalg.norm(vertices - [0.8, 0.5, 0.3], axis=1) ** 2)
    body.vertices = vertices * (1 + 0.4 * bulge[:, None]) * [80, 55, 45] + [10, 20, 930]
    return Mesh(
        LIVER, body.vertices.astype(np.float32), body.faces.astype(np.int32), body.vertex_normals.astype(np.float32)
    )


def on(liver: Mesh, seed: int, noise_mm: float = 0.3) -> np.ndarray:
    random = np.random.default_rng(seed)
    seen = liver.vertices_mm[liver.normals[:, 1] < 0.2]
    return seen[random.choice(len(seen), 500)] + random.normal(0, noise_mm, (500, 3))


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_surface_makes_up_for_bad_landmarks(liver, seed):
    to_ct, random = robot(seed), np.random.default_rng(seed)
    measured = to_ct.inverse().apply(CT_MM) + random.normal(0, 2.0, CT_MM.shape)
    found = register_patient((measured, CT_MM), to_ct.inverse().apply(on(liver, seed)), liver)
    assert found.message == "" and found.surface is not None and found.landmarks is not None
    inside = np.array([[10.0, 20, 930], [40, 20, 930], [10, 40, 950]])
    errors = np.linalg.norm(found.transform.apply(to_ct.inverse().apply(inside)) - inside, axis=1)
    assert errors.max() < 1.0
    again = register_patient(None, to_ct.inverse().apply(on(liver, seed)), liver, found.landmarks.transform)
    assert again.landmarks is None and again.transform.matrix == pytest.approx(found.transform.matrix, abs=1e-4)


def test_a_surface_that_cannot_refine_keeps_the_start_and_says_why(liver):
    to_ct = robot(1)
    elsewhere = np.random.default_rng(0).normal(0, 60, (300, 3)) + liver.vertices_mm.mean(axis=0)
    found = register_patient((to_ct.inverse().apply(CT_MM), CT_MM), to_ct.inverse().apply(elsewhere), liver)
    assert found.message and found.landmarks is not None
    assert found.transform is found.landmarks.transform


def test_half_a_question_is_refused(liver):
    pairs, points = (CT_MM, CT_MM), on(liver, 0)
    for arguments, line in (
        ({}, "nothing to begin with"),
        ({"landmarks_mm": pairs, "points_mm": points}, "need both"),
        ({"landmarks_mm": pairs, "surface": liver}, "need both"),
        ({"landmarks_mm": pairs, "initial": robot(0)}, "give one of them"),
        ({"initial": robot(0)}, "registers nothing"),
        ({"points_mm": points, "surface": liver}, "nothing to begin with"),
    ):
        with pytest.raises(InputError, match=line):
            register_patient(**arguments)
