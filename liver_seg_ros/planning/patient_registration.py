# SPDX-License-Identifier: Apache-2.0
"""Registering a patient to a robot's frame: by landmarks, refined by the liver's surface, with the errors to expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import MM_PER_M
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.mirrored import are_mirrored
from liver_seg_ros.planning.registration import LandmarkRegistration, register_landmarks
from liver_seg_ros.planning.surface_registration import SurfaceRegistration, refine_by_surface
from liver_seg_ros.planning.transform import RigidTransform
from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class PatientRegistration:
    """Where a patient is in a robot's frame, and how well it fits.

    Attributes:
        transform: from the frame that was measured in to the CT, LPS mm.
        landmarks: how well the landmarks fit; None where none were given.
        surface: what refining by the surface did; None where it was not asked for.
    """

    transform: RigidTransform
    landmarks: LandmarkRegistration | None
    surface: SurfaceRegistration | None

    __repr__ = short_repr

    @property
    def message(self) -> str:
        """Why the surface could not refine the transform; empty where it did or was not asked to."""
        return "" if self.surface is None else self.surface.reason

    def to_dict(self, targets_mm: ArrayLike = ()) -> dict[str, Any]:
        """Plain values for JSON.

        `ct_in_measured` is the pose of the frame `ct_lps` in the frame that was measured in, as the nodes' parameters
        take it (metres, quaternion). The error at targets `(M, 3)` LPS mm is that of the landmarks alone.
        """
        to_measured = self.transform.inverse().matrix
        return {
            "from": "measured",
            "to": "LPS",
            "unit": "mm",
            "matrix": self.transform.matrix.tolist(),
            "inverse": to_measured.tolist(),
            "ct_in_measured": {
                "translation_m": (to_measured[:3, 3] / MM_PER_M).tolist(),
                "rotation_xyzw": Rotation.from_matrix(to_measured[:3, :3]).as_quat().tolist(),
            },
            "landmarks": None if self.landmarks is None else self.landmarks.to_dict(targets_mm),
            "surface": None if self.surface is None else self.surface.to_dict(),
            "message": self.message,
        }


def register_patient(
    landmarks_mm: tuple[ArrayLike, ArrayLike] | None = None,
    points_mm: ArrayLike | None = None,
    surface: Mesh | None = None,
    initial: RigidTransform | None = None,
    capture_mm: float = 10.0,
    reach_mm: float = 2.5,
) -> PatientRegistration:
    """From the frame that was measured in to the CT.

    Args:
        landmarks_mm: `(N, 3)` as measured and `(N, 3)` in the CT, the same landmarks in the same order.
        points_mm: `(M, 3)` measured on the surface.
        surface: of the liver in the CT.
        initial: where to begin with the points if there are no landmarks.
        capture_mm, reach_mm: see `refine_by_surface`.

    Raises:
        InputError: neither landmarks nor points with an initial transform, one of points and surface without the
            other, landmarks that are mirrored, or as `register_landmarks` and `refine_by_surface`.
    """
    if (points_mm is None) != (surface is None):
        raise InputError("points on a surface need both: the points as measured, and the surface in the CT")
    if landmarks_mm is not None and initial is not None:
        raise InputError("landmarks and an initial transform: give one of them to begin with")
    by_landmarks = None if landmarks_mm is None else _by_landmarks(*landmarks_mm)
    begin = initial if by_landmarks is None else by_landmarks.transform
    if begin is None:
        raise InputError("nothing to begin with: give landmarks, or an initial transform")
    if points_mm is None or surface is None:
        if by_landmarks is None:
            raise InputError("an initial transform alone registers nothing: give points and a surface to refine it by")
        return PatientRegistration(begin, by_landmarks, None)
    by_surface = refine_by_surface(points_mm, surface, begin, capture_mm, reach_mm)
    return PatientRegistration(by_surface.transform, by_landmarks, by_surface)


def _by_landmarks(measured_mm: ArrayLike, in_ct_mm: ArrayLike) -> LandmarkRegistration:
    found = register_landmarks(measured_mm, in_ct_mm)
    if are_mirrored(np.asarray(measured_mm, np.float64), found.landmarks_mm, found.fre_mm):
        raise InputError(
            "the landmarks of one frame are the mirror image of the other's. Look for a left taken for a right, and "
            "for an axis with a wrong sign (RAS for LPS has two)."
        )
    return found
