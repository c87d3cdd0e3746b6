# SPDX-License-Identifier: Apache-2.0
"""Rigid registration of landmarks: the transform, how well it fits, and how far off a target will be.

- The rotation is SciPy's: Kabsch 1978 by singular values, with the guard against reflections; the same optimum as Arun,
  Huang and Blostein 1987 and Horn 1987 by quaternions.
- Fitzpatrick, West and Maurer 1998, Predicting error in rigid-body point-based registration (IEEE TMI 17:694): FLE is
  how far off a landmark is found (fiducial localization error), FRE how far the landmarks are apart after registration,
  TRE how far a target is off. Equation 10: <FRE^2> = (1 - 2/N) <FLE^2>; equation 46:
  <TRE^2(r)> = <FLE^2>/N (1 + 1/3 sum_k d_k^2/f_k^2), with d_k the distance of the target, f_k the root mean square
  distance of the landmarks from principal axis k of the landmarks.

FRE says nothing of the error at a target by itself: landmarks close together fit well and predict badly. TRE is what
a plan depends on, and it holds only for errors that are random: a landmark taken for another is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.plain import plain
from liver_seg_ros.planning.transform import RigidTransform
from liver_seg_ros.short_repr import short_repr

#: Landmarks whose spread (root mean square about their center) is below this are one place.
COINCIDENT_MM = 0.01
#: Landmarks whose spread across their best line is below this fraction of the one along it are on a line: the turn
#: about it would be hundreds of times as uncertain as a landmark.
COLLINEAR = 0.01


@dataclass(frozen=True, eq=False)
class LandmarkRegistration:
    """What `register_landmarks` found.

    Attributes:
        transform: from the source to the target frame.
        residual_mm: `(N,)` distance of each landmark from its partner after registration.
        fre_mm: root mean square of `residual_mm`.
        fle_mm: root mean square error of finding a landmark, both frames together, estimated from the FRE; with few
            landmarks the estimate is rough (of three, it rests on three numbers).
        landmarks_mm: `(N, 3)` the target landmarks.
    """

    transform: RigidTransform
    residual_mm: NDArray[np.float64]
    fre_mm: float
    fle_mm: float
    landmarks_mm: NDArray[np.float64]

    __repr__ = short_repr

    def predicted_tre_mm(self, targets_mm: ArrayLike) -> NDArray[np.float64]:
        """`(...)` root mean square errors to expect at targets `(..., 3)` in the target frame, with this FLE."""
        return predicted_tre_mm(self.landmarks_mm, targets_mm, self.fle_mm)

    def to_dict(self, targets_mm: ArrayLike = ()) -> dict[str, Any]:
        """Plain values for JSON, with the error predicted at targets `(M, 3)` in the target frame."""
        targets = np.asarray(targets_mm, np.float64).reshape(-1, 3)
        return {
            **self.transform.to_dict(),
            "fre_mm": self.fre_mm,
            "fle_mm": self.fle_mm,
            "residual_mm": plain(self.residual_mm),
            "targets_mm": plain(targets),
            "predicted_tre_mm": plain(self.predicted_tre_mm(targets)),
        }


def register_landmarks(source_mm: ArrayLike, target_mm: ArrayLike) -> LandmarkRegistration:
    """The rigid transform that brings `source_mm` to `target_mm` with the least mean squared distance.

    Args:
        source_mm, target_mm: `(N, 3)` each, the same landmarks in the same order, N at least 3.

    Raises:
        InputError: numbers of landmarks that differ, fewer than three, a coordinate that is not finite, or landmarks
            that all lie in one place or on one line, so that some turn cannot be told.
    """
    source, target = _landmarks(source_mm, "source"), _landmarks(target_mm, "target")
    if len(source) != len(target):
        raise InputError(
            f"{len(source)} source landmarks but {len(target)} target landmarks. Give each landmark in both frames, "
            "in the same order."
        )
    for points, name in ((source, "source"), (target, "target")):
        _refuse_degenerate(points, name)

    source_center, target_center = source.mean(axis=0), target.mean(axis=0)
    rotation = Rotation.align_vectors(target - target_center, source - source_center)[0].as_matrix()
    transform = RigidTransform.of(rotation, target_center - rotation @ source_center)

    residual = np.linalg.norm(transform.apply(source) - target, axis=1)
    fre = float(np.sqrt((residual**2).mean()))
    return LandmarkRegistration(transform, residual, fre, fre / float(np.sqrt(1 - 2 / len(source))), target)


def predicted_tre_mm(landmarks_mm: ArrayLike, targets_mm: ArrayLike, fle_mm: float) -> NDArray[np.float64]:
    """Root mean square errors to expect at targets, before or after registering.

    Args:
        landmarks_mm: `(N, 3)`, N at least 3 and not on a line.
        targets_mm: `(..., 3)` in the same frame.
        fle_mm: root mean square error of finding a landmark, the same in every direction, both frames together.

    Raises:
        InputError: landmarks as in `register_landmarks`.
    """
    landmarks = _landmarks(landmarks_mm, "given")
    _refuse_degenerate(landmarks, "given")
    center = landmarks.mean(axis=0)
    axes = np.linalg.svd(landmarks - center)[2]  # rows: principal axes
    landmarks_2 = ((landmarks - center) @ axes.T) ** 2
    targets_2 = ((np.asarray(targets_mm, np.float64) - center) @ axes.T) ** 2
    from_axis_2 = landmarks_2.sum(axis=1, keepdims=True) - landmarks_2  # (N, 3): squared distances from each axis
    targets_from_axis_2 = targets_2.sum(axis=-1, keepdims=True) - targets_2
    ratio = (targets_from_axis_2 / from_axis_2.mean(axis=0)).sum(axis=-1)
    return np.asarray(fle_mm * np.sqrt((1 + ratio / 3) / len(landmarks)))


def _landmarks(points_mm: ArrayLike, name: str) -> NDArray[np.float64]:
    points = np.asarray(points_mm, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"the {name} landmarks have shape {points.shape}. Give three coordinates in mm for each.")
    if len(points) < 3:
        raise InputError(f"{len(points)} {name} landmarks are too few for a rigid registration. Give three or more.")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise InputError(f"{name} landmark {bad[0] + 1} is {points[bad[0]].tolist()}, which is no place. Take it anew.")
    return points


def _refuse_degenerate(points: NDArray[np.float64], name: str) -> None:
    """Raise `InputError` where the points do not fix every turn: they lie in one place or on one line."""
    along, across, _ = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) / np.sqrt(len(points))
    if along < COINCIDENT_MM:
        raise InputError(f"the {len(points)} {name} landmarks all lie in one place. Take landmarks far apart.")
    if across < COLLINEAR * along:
        raise InputError(
            f"the {len(points)} {name} landmarks lie on one line, so that the turn about it cannot be told. "
            "Take one well beside it."
        )
