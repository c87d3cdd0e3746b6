# SPDX-License-Identifier: Apache-2.0
"""Where the CT's frame is in the robot's: recovered, honest about its errors, refused where it cannot be told."""

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
from liver_seg_ros.planning.frame_registration import FrameQuestion, register_frame
from liver_seg_ros.planning.mirrored import are_mirrored
from liver_seg_ros.planning.pose_covariance import pose_covariance
from liver_seg_ros.planning.registration import predicted_tre_mm, register_landmarks
from liver_seg_ros.planning.transform import RigidTransform

IN_CT = np.array([[-90.0, -60, 900], [70, 20, 880], [-40, 95, 930], [15, 50, 1060], [80, -70, 1000]])
NONE = np.empty((0, 3))
HERE = RigidTransform(np.eye(4))
seeds = st.integers(0, 2**32 - 1)


def pose_of(seed: int) -> RigidTransform:
    random = np.random.default_rng(seed)
    return RigidTransform.of(Rotation.random(rng=random).as_matrix(), random.uniform(-500, 500, 3))


def asked(landmarks=NONE, in_ct=NONE, points=NONE, targets=NONE, max_fre_mm=5.0) -> FrameQuestion:
    return FrameQuestion(
        *(np.asarray(p, np.float64).reshape(-1, 3) for p in (landmarks, in_ct, points, targets)), max_fre_mm
    )


@given(seed=seeds, noise_mm=st.floats(0, 1))
def test_a_pose_is_recovered_within_the_noise(seed, noise_mm):
    pose = pose_of(seed)
    measured = pose.apply(IN_CT) + np.random.default_rng(seed).uniform(-noise_mm, noise_mm, IN_CT.shape)
    target = [[0.0, 0, 950]]
    answer = register_frame(asked(measured, IN_CT, targets=target), None, HERE)
    assert answer.refusal == ""
    assert np.linalg.norm(answer.pose.apply(target) - pose.apply(target)) <= 2 * np.sqrt(3) * noise_mm + 1e-6
    assert answer.landmarks.fre_mm <= np.sqrt(3) * noise_mm + 1e-6


@given(seed=seeds, target=st.tuples(*[st.floats(-300, 300)] * 3))
def test_the_covariance_at_a_target_is_the_tre_of_fitzpatrick(seed, target):
    """Carried to a target, its trace is equation 46, which knows nothing of matrices."""
    landmarks = np.random.default_rng(seed).uniform(-100, 100, (5, 3))
    covariance = pose_covariance(landmarks, [7.0, -5, 900], 1.3)
    assert np.linalg.eigvalsh(covariance)[0] > 0
    x, y, z = np.subtract(target, [7.0, -5, 900])
    moves = np.hstack([np.eye(3), [[0, z, -y], [-z, 0, x], [y, -x, 0]]])
    at_target = moves @ covariance @ moves.T
    assert np.sqrt(np.trace(at_target)) == pytest.approx(float(predicted_tre_mm(landmarks, target, 1.3)), rel=1e-6)


def test_the_covariance_is_that_of_many_registrations():
    pose, fle_mm, random = pose_of(3), 0.6, np.random.default_rng(5)
    measured, origin = pose.apply(IN_CT), pose.apply([0.0, 0, 0])
    errors = []
    for noise in random.normal(0, fle_mm / np.sqrt(3), (500, *IN_CT.shape)):
        found = register_landmarks(IN_CT, measured + noise).transform
        turn = Rotation.from_matrix(found.matrix[:3, :3] @ pose.matrix[:3, :3].T).as_rotvec()
        errors.append([*(found.apply([0.0, 0, 0]) - origin), *turn])
    expected = pose_covariance(measured, origin, fle_mm)
    scale = np.sqrt(np.diag(expected))
    assert np.cov(np.array(errors).T) / np.outer(scale, scale) == pytest.approx(
        expected / np.outer(scale, scale), abs=0.2
    )


@given(seed=seeds, axis=st.integers(0, 2), noise_mm=st.floats(0, 1))
def test_mirrored_landmarks_are_refused(seed, axis, noise_mm):
    mirrored = IN_CT * np.where(np.arange(3) == axis, -1.0, 1.0)
    measured = pose_of(seed).apply(mirrored) + np.random.default_rng(seed).uniform(-noise_mm, noise_mm, IN_CT.shape)
    with pytest.raises(InputError, match="mirror image"):
        register_frame(asked(measured, IN_CT, max_fre_mm=1000.0), None, HERE)


@given(seed=seeds, height_mm=st.floats(0, 5), count=st.integers(3, 6))
def test_landmarks_nearly_in_a_plane_are_not_taken_for_mirrored(seed, height_mm, count):
    """Where noise alone decides which way round fits better."""
    random = np.random.default_rng(seed)
    landmarks = random.uniform(-40, 40, (count, 3)) * [1, 1, height_mm / 40]
    landmarks[:3, :2] += [[200, 0], [0, 200], [0, 0]]
    measured = pose_of(seed).apply(landmarks) + random.normal(0, 0.5, landmarks.shape)
    assert not are_mirrored(landmarks, measured, register_landmarks(landmarks, measured).fre_mm)


@pytest.mark.parametrize(
    ("measured", "in_ct", "says"),
    [
        (NONE, NONE, "nothing was measured"),
        (IN_CT[:2], IN_CT[:2], "2 source landmarks are too few"),
        (IN_CT[:4], IN_CT, "4 source landmarks but 5 target landmarks"),
        ([[0, 0, 0], [10, 0, 0], [90, 0, 0]], [[0, 0, 0], [0, 10, 0], [0, 90, 0]], "on one line"),
        ([[0, 0, 0]] * 3, IN_CT[:3], "all lie in one place"),
        ([[np.nan, 0, 0], [10, 0, 0], [0, 90, 0]], IN_CT[:3], "which is no place"),
        (NONE, IN_CT, "source landmarks"),
    ],
    ids=["nothing", "two", "unequal", "collinear", "one-place", "nan", "one-side"],
)
def test_what_cannot_be_registered_is_refused_with_the_reason(measured, in_ct, says):
    with pytest.raises(InputError, match=says):
        register_frame(asked(measured, in_ct), None, HERE)


def test_a_landmark_taken_for_another_is_refused_and_named():
    measured = pose_of(1).apply(IN_CT)
    measured[3] += [0, 40, 0]
    answer = register_frame(asked(measured, IN_CT), None, HERE)
    assert "number 4 is worst" in answer.refusal and "more than 5 mm" in answer.refusal
    assert answer.landmarks.fre_mm > 5 and answer.covariance is not None


@pytest.fixture(scope="module")
def liver() -> Mesh:
    """Without symmetry: an ellipsoid with a bulge, and normals that a message does not carry."""
    body = trimesh.creation.icosphere(subdivisions=4)
    bulge = np.exp(-4 * np.linalg.norm(body.vertices - [0.8, 0.5, 0.3], axis=1) ** 2)
    body.vertices = np.array(body.vertices) * (1 + 0.4 * bulge[:, None]) * [80, 55, 45] + [10, 20, 930]
    return Mesh(
        LIVER, body.vertices.astype(np.float32), body.faces.astype(np.int32), body.vertex_normals.astype(np.float32)
    )


@settings(max_examples=5)
@given(seed=seeds)
def test_the_surface_refines_what_is_a_few_millimetres_off(liver, seed):
    random = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(random.uniform(-0.03, 0.03, 3)).as_matrix()
    center = np.array([10.0, 20, 930])
    pose, off = pose_of(seed), RigidTransform.of(turn, center - turn @ center + random.uniform(-2, 2, 3))
    before = RigidTransform(pose.matrix @ off.matrix)
    points = pose.apply(liver.vertices_mm[random.choice(len(liver.vertices_mm), 400)])
    answer = register_frame(asked(points=points), liver, before)
    assert answer.refusal == "" and answer.surface.accepted and answer.covariance is None and answer.notes
    target = [0.0, 10, 930]
    assert np.linalg.norm(answer.pose.apply(target) - pose.apply(target)) < 0.1


def test_points_far_from_the_surface_are_refused(liver):
    points = np.random.default_rng(0).uniform(500, 600, (100, 3))
    answer = register_frame(asked(points=points), liver, HERE)
    assert answer.refusal and not answer.surface.accepted
    with pytest.raises(InputError, match="no surface of a liver yet"):
        register_frame(asked(points=points), None, HERE)
