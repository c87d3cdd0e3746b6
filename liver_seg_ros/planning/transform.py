# SPDX-License-Identifier: Apache-2.0
"""A rigid motion between two frames in millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import finite_vector
from liver_seg_ros.plain import plain_fields
from liver_seg_ros.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """From a source to a target frame: a turn, then a shift.

    Attributes:
        matrix: `(4, 4)` float64, homogeneous, mm; made read-only.

    Raises:
        InputError: another shape, a number that is not finite, or not a rotation (mirrored, scaled, sheared).
    """

    matrix: NDArray[np.float64]

    __repr__ = short_repr
    to_dict = plain_fields

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise InputError(f"a rigid transform is a finite 4x4 matrix, not one of shape {matrix.shape}")
        turn = matrix[:3, :3]
        is_rotation = np.allclose(turn.T @ turn, np.eye(3), atol=1e-6) and np.linalg.det(turn) > 0
        if not is_rotation or not np.allclose(matrix[3], [0, 0, 0, 1]):
            raise InputError(f"the matrix {matrix.tolist()} is not rigid: it must turn and shift, nothing else")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @staticmethod
    def of(rotation: ArrayLike, translation_mm: ArrayLike) -> RigidTransform:
        """From a 3x3 rotation and a shift. Raises `InputError` where they are none."""
        turn = np.asarray(rotation, np.float64)
        if turn.shape != (3, 3):
            raise InputError(f"a rotation is a 3x3 matrix, not one of shape {turn.shape}")
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turn, finite_vector(translation_mm, "a translation in mm")
        return RigidTransform(matrix)

    def apply(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Points `(..., 3)` of the source frame in the target frame."""
        return np.asarray(points_mm, np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def inverse(self) -> RigidTransform:
        """From the target to the source frame."""
        back = self.matrix[:3, :3].T
        return RigidTransform.of(back, -back @ self.matrix[:3, 3])
