# SPDX-License-Identifier: Apache-2.0
"""Landmark registration: exact transforms, honest errors, one line for what cannot be registered."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.planning.registration import predicted_tre_mm, register_landmarks
from liver_seg_ros.planning.transform import RigidTransform

LANDMARKS = np.array([[10.0, -60, 900], [70, 20, 880], [-40, 35, 930], [15, 50, 960], [-30, -20, 870]])


def motion(seed: int) -> RigidTransform:
    random = np.random.default_rng(seed)
    return RigidTransform.of(Rotation.random(rng=random).as_matrix(), random.uniform(-500, 500, 3))


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(3, 12), flat=st.booleans())
def test_any_rigid_motion_of_any_landmarks_is_recovered(seed, count, flat):
    landmarks = np.random.default_rng(seed).uniform(-100, 100, (count, 3))
    landmarks[:3] += [[200, 0, 0], [0, 200, 0], [0, 0, 0]]  # never on a line
    if flat or count == 3:
        landmarks[:, 2] = 7.0  # in one plane a reflection fits as well as the rotation
    true = motion(seed)
    found = register_landmarks(landmarks, true.apply(landmarks))
    assert found.transform.matrix == pytest.approx(true.matrix, abs=1e-6)
    assert np.linalg.det(found.transform.matrix[:3, :3]) == pytest.approx(1.0)
    assert found.fre_mm < 1e-6 and found.residual_mm.shape == (count,)


@given(seed=st.integers(0, 2**32 - 1))
def test_no_small_motion_fits_better_than_what_is_found(seed):
    random = np.random.default_rng(seed)
    target = motion(seed).apply(LANDMARKS) + random.normal(0, 3.0, LANDMARKS.shape)
    found = register_landmarks(LANDMARKS, target)
    turned = Rotation.from_rotvec(random.normal(0, 1e-3, 3)).as_matrix()
    center = target.mean(axis=0)
    nudge = RigidTransform.of(turned, center - turned @ center + random.normal(0, 0.1, 3))
    moved = nudge.apply(found.transform.apply(LANDMARKS)) - target
    assert found.fre_mm <= np.sqrt((moved**2).sum(axis=1).mean()) + 1e-9


def test_mirrored_landmarks_get_a_rotation_and_a_large_residual():
    found = register_landmarks(LANDMARKS, LANDMARKS * [-1, 1, 1])
    assert np.linalg.det(found.transform.matrix[:3, :3]) == pytest.approx(1.0)
    assert found.fre_mm > 10


@pytest.mark.parametrize("count", [3, 5])
def test_fre_and_tre_are_those_of_many_registrations_with_random_errors(count):
    """Fitzpatrick, West and Maurer 1998: to first order in the FLE, which is small here."""
    landmarks, fle_mm = LANDMARKS[:count], 0.5
    targets = np.array([[0.0, 0, 900], [100, 100, 800]])
    random = np.random.default_rng(4)
    noise = random.normal(0, fle_mm / np.sqrt(3), (3000, count, 3))
    found = [register_landmarks(landmarks, landmarks + error) for error in noise]
    tre = np.array([f.transform.apply(targets) - targets for f in found])
    assert np.sqrt((tre**2).sum(axis=2).mean(axis=0)) == pytest.approx(
        predicted_tre_mm(landmarks, targets, fle_mm), rel=0.05
    )
    assert np.sqrt(np.mean([f.fle_mm**2 for f in found])) == pytest.approx(fle_mm, rel=0.05)
    assert np.sqrt(np.mean([f.fre_mm**2 for f in found])) == pytest.approx(fle_mm * np.sqrt(1 - 2 / count), rel=0.05)


def test_the_error_is_least_at_the_middle_and_follows_from_the_fre():
    found = register_landmarks(LANDMARKS, motion(1).apply(LANDMARKS) + np.eye(5, 3))
    middle = found.landmarks_mm.mean(axis=0)
    at_middle, far = found.predicted_tre_mm(np.add(middle, [[0, 0, 0], [0, 0, 500.0]]))
    assert at_middle == pytest.approx(found.fle_mm / np.sqrt(5)) and far > 3 * at_middle
    assert found.fle_mm == pytest.approx(found.fre_mm / np.sqrt(1 - 2 / 5))
    assert found.fre_mm == pytest.approx(np.sqrt((found.residual_mm**2).mean()))


@pytest.mark.parametrize(
    ("source", "target", "line"),
    [
        (LANDMARKS[:2], LANDMARKS[:2], "2 source landmarks are too few"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "0 source landmarks are too few"),
        (LANDMARKS, LANDMARKS[:4], "5 source landmarks but 4 target"),
        (LANDMARKS[:, :2], LANDMARKS, "source landmarks have shape"),
        (np.ones((4, 3)), LANDMARKS[:4], "4 source landmarks all lie in one place"),
        (LANDMARKS[:4], np.arange(4)[:, None] * [1.0, 2, 3], "4 target landmarks lie on one line"),
        (LANDMARKS[[0, 1, 1]], LANDMARKS[:3], "3 source landmarks lie on one line"),
        (np.where(np.eye(5, 3) > 0, np.nan, LANDMARKS), LANDMARKS, "source landmark 1 is .*nan"),
        (LANDMARKS, np.where(np.eye(5, 3, -1) > 0, np.inf, LANDMARKS), "target landmark 2 is .*inf"),
    ],
)
def test_what_cannot_be_registered_is_refused_with_one_line(source, target, line):
    with pytest.raises(InputError, match=line) as error:
        register_landmarks(source, target)
    assert "\n" not in str(error.value)


def test_a_registration_goes_through_json():
    found = register_landmarks(LANDMARKS, motion(2).apply(LANDMARKS))
    plain = json.loads(json.dumps(found.to_dict([[0, 0, 0]]), allow_nan=False))
    assert np.array(plain["matrix"]) == pytest.approx(motion(2).matrix)
    assert len(plain["residual_mm"]) == 5 and len(plain["predicted_tre_mm"]) == 1
    assert found.to_dict()["predicted_tre_mm"] == []


@pytest.mark.parametrize(
    "matrix", [np.eye(3), np.diag([1.0, 1, -1, 1]), np.diag([2.0, 2, 2, 1]), np.full((4, 4), np.nan)]
)
def test_a_matrix_that_is_not_rigid_is_refused(matrix):
    with pytest.raises(ValueError, match="rigid"):
        RigidTransform(matrix)


def test_the_inverse_leads_back():
    there = motion(3)
    assert there.inverse().apply(there.apply(LANDMARKS)) == pytest.approx(LANDMARKS)
