# SPDX-License-Identifier: Apache-2.0
"""Any orientation to another and back, by flips and permutations of the axes only.

Canonical means: i grows to the patient's left, j to the posterior, k to the superior, each as closely as the grid's
axes allow. Nothing is interpolated, so a tilted grid stays tilted, and every array that comes back is a view.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import IDENTITY, Box, Geometry, Matrix

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Reorientation:
    """How a grid's index axes are reordered; all triples in file order `(i, j, k)`.

    Attributes:
        axes: new axis `a` is old axis `axes[a]`.
        flipped: whether new axis `a` runs against the old one.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def apply(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """A view of `array` `[k, j, i]` in the new order; writing to it writes to `array`."""
        i, j, k = (2 - axis for axis in self.axes)  # array axes run the other way round
        i_step, j_step, k_step = (-1 if flip else 1 for flip in self.flipped)
        return array.transpose(k, j, i)[::k_step, ::j_step, ::i_step]

    def apply_to_geometry(self, geometry: Geometry) -> Geometry:
        """The geometry of `apply`'s result: every voxel stays where it is in space."""
        reordered = geometry.permute(self.axes)
        for axis in range(3):
            if self.flipped[axis]:
                reordered = reordered.flip(axis)
        return reordered

    def apply_to_box(self, box: Box, size: tuple[int, int, int]) -> Box:
        """Where the voxels of `box`, a part of a grid of `size`, are after `apply`."""
        start, stop = [0, 0, 0], [0, 0, 0]
        for new, old in enumerate(self.axes):
            start[new], stop[new] = box.start[old], box.stop[old]
            if self.flipped[new]:
                start[new], stop[new] = size[old] - stop[new], size[old] - start[new]
        return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    def inverse(self) -> Reorientation:
        """The reordering that undoes this one."""
        i, j, k = (self.axes.index(axis) for axis in range(3))
        return Reorientation((i, j, k), (self.flipped[i], self.flipped[j], self.flipped[k]))


#: Every axis stays what it is.
UNCHANGED = Reorientation((0, 1, 2), (False, False, False))


def to_canonical(geometry: Geometry) -> Reorientation:
    """The reordering that brings the axes of `geometry` closest to left, posterior, superior."""
    return towards(geometry, IDENTITY)


def towards(geometry: Geometry, direction: Matrix) -> Reorientation:
    """The reordering that brings the axes of `geometry` closest to the columns of `direction`.

    Handedness is kept: a right-handed grid stays right-handed, so that no patient is ever mirrored. Where several
    reorderings are equally close (45 degrees), the choice depends on the axes' directions only, not on their order.
    """
    relative = np.array(direction).T @ geometry.direction_matrix
    handedness = np.linalg.det(geometry.direction_matrix)

    def closeness(candidate: Reorientation) -> tuple[float, ...]:
        matrix = _reordered(relative, candidate)
        return (round(float(np.trace(matrix)), 6), *np.round(matrix, 6).ravel())

    candidates = (
        Reorientation((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))
        for axes in permutations(range(3))
        for flips in product((False, True), repeat=3)
    )
    return max(
        (c for c in candidates if np.linalg.det(_reordered(geometry.direction_matrix, c)) * handedness > 0),
        key=closeness,
    )


def _reordered(direction: NDArray[np.float64], candidate: Reorientation) -> NDArray[np.float64]:
    return direction[:, list(candidate.axes)] * np.where(candidate.flipped, -1.0, 1.0)
