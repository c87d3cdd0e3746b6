# SPDX-License-Identifier: Apache-2.0
"""Where the CT's frame is in a frame of the robot, and how well that is known: a question and its answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.patient_registration import register_patient
from liver_seg_ros.planning.pose_covariance import pose_covariance
from liver_seg_ros.planning.registration import LandmarkRegistration
from liver_seg_ros.planning.surface_registration import SurfaceRegistration
from liver_seg_ros.planning.transform import RigidTransform
from liver_seg_ros.short_repr import short_repr

#: Of so few landmarks the residual says nearly nothing: three fit with 1/sqrt(3) of their error on average.
FEW_LANDMARKS = 3


@dataclass(frozen=True, eq=False)
class FrameQuestion:
    """What was measured, mm.

    Attributes:
        landmarks_mm: `(N, 3)` as measured in the robot's frame; without rows: none.
        landmarks_in_ct_mm: `(N, 3)` the same in the CT, LPS.
        surface_points_mm: `(M, 3)` measured on the liver; without rows: none.
        targets_mm: `(K, 3)` where the error to expect is wanted, LPS.
        max_fre_mm: a root mean square residual of the landmarks above this is refused.
    """

    landmarks_mm: NDArray[np.float64]
    landmarks_in_ct_mm: NDArray[np.float64]
    surface_points_mm: NDArray[np.float64]
    targets_mm: NDArray[np.float64]
    max_fre_mm: float

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class FrameAnswer:
    """Where the CT's frame is.

    Attributes:
        pose: from the CT (LPS mm) to the robot's frame.
        refusal: why it is not to be used, in one line; empty where it is.
        landmarks: how well they fit; None without landmarks.
        surface: what refining by the surface did; None where it was not asked for.
        covariance: `(6, 6)` as `pose_covariance` gives it, in mm and rad along the axes of the robot's frame; None
            without landmarks.
        tre_mm: `(K,)` root mean square errors to expect at the targets; None without landmarks.
        notes: what someone who trusts it has to know, one line each.
    """

    pose: RigidTransform
    refusal: str
    landmarks: LandmarkRegistration | None
    surface: SurfaceRegistration | None
    covariance: NDArray[np.float64] | None
    tre_mm: NDArray[np.float64] | None
    notes: tuple[str, ...]

    __repr__ = short_repr


def register_frame(question: FrameQuestion, surface: Mesh | None, now: RigidTransform) -> FrameAnswer:
    """Answer `question`.

    Args:
        surface: of the liver, LPS mm; None where there is none.
        now: from the CT to the robot's frame, where the surface alone begins.

    Raises:
        InputError: nothing was measured, points on the surface without a surface, or whatever `register_patient`
            refuses.
    """
    by_landmarks = len(question.landmarks_mm) > 0 or len(question.landmarks_in_ct_mm) > 0
    by_surface = len(question.surface_points_mm) > 0
    if not by_landmarks and not by_surface:
        raise InputError("nothing was measured: give landmarks, points on the liver's surface, or both")
    if by_surface and surface is None:
        raise InputError("there is no surface of a liver yet to register points to; wait for the topic meshes")
    found = register_patient(
        (question.landmarks_mm, question.landmarks_in_ct_mm) if by_landmarks else None,
        question.surface_points_mm if by_surface else None,
        surface if by_surface else None,
        None if by_landmarks else now.inverse(),
    )
    pose, landmarks = found.transform.inverse(), found.landmarks
    return FrameAnswer(
        pose=pose,
        refusal=_refusal(landmarks, found.surface, question.max_fre_mm),
        landmarks=landmarks,
        surface=found.surface,
        covariance=None
        if landmarks is None
        else pose_covariance(question.landmarks_mm, pose.apply([0.0, 0.0, 0.0]), landmarks.fle_mm),
        tre_mm=None if landmarks is None else landmarks.predicted_tre_mm(question.targets_mm),
        notes=tuple(_notes(landmarks, found.surface)),
    )


def _refusal(landmarks: LandmarkRegistration | None, surface: SurfaceRegistration | None, max_fre_mm: float) -> str:
    if landmarks is not None and landmarks.fre_mm > max_fre_mm:
        worst = int(landmarks.residual_mm.argmax())
        return (
            f"the landmarks are {landmarks.fre_mm:.2f} mm apart (root mean square), more than {max_fre_mm:g} mm;"
            f" number {worst + 1} is worst with {landmarks.residual_mm[worst]:.2f} mm: take it anew"
        )
    return "" if surface is None else surface.reason


def _notes(landmarks: LandmarkRegistration | None, surface: SurfaceRegistration | None) -> list[str]:
    notes = []
    if landmarks is not None and len(landmarks.residual_mm) <= FEW_LANDMARKS:
        notes.append("three landmarks hardly tell their own error: its estimate may be off by half, take a fourth")
    if surface is not None and surface.accepted:
        notes.append(
            "the errors are those of the landmarks alone; how far off the surface leaves the pose is not known"
            if landmarks is not None
            else "how far off the pose is is not known: a surface tells how well it fits, and no more"
        )
    return notes
