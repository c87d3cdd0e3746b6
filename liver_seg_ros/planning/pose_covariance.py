# SPDX-License-Identifier: Apache-2.0
"""How certain a pose is that was registered by landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pose_covariance(landmarks_mm: ArrayLike, origin_mm: ArrayLike, fle_mm: float) -> NDArray[np.float64]:
    """`(6, 6)` covariance of a pose: shift of its origin (mm) along x, y, z, turns (rad) about x, y, z.

    To first order in the error of finding a landmark, which is taken as the same in every direction: the inverse of
    what the landmarks tell (Fitzpatrick, West and Maurer 1998 give its trace at a target, `predicted_tre_mm`).

    Args:
        landmarks_mm: `(N, 3)`, three or more that are not on a line, in the frame in which the pose is.
        origin_mm: of the pose, `(3,)`: what is turned is turned about it.
        fle_mm: root mean square error of finding a landmark, both frames together.
    """
    x, y, z = (np.asarray(landmarks_mm, np.float64) - np.asarray(origin_mm, np.float64)).T
    zero = np.zeros_like(x)
    turns = np.moveaxis(np.array([[zero, z, -y], [-z, zero, x], [y, -x, zero]]), 2, 0)  # (N, 3, 3): turn x arm
    moves = np.concatenate([np.broadcast_to(np.eye(3), turns.shape), turns], axis=2)  # (N, 3, 6): of each landmark
    information = np.einsum("nij,nik->jk", moves, moves)
    # Millimetres and radians differ by orders of magnitude: without scaling the inverse would lose digits.
    scale = np.sqrt(np.diag(information))
    inverse = np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
    return np.asarray(fle_mm**2 / 3 * inverse)
