# SPDX-License-Identifier: Apache-2.0
"""The coarse lattice of a phantom: where its points are in the scanner and in the patient's own frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.phantom.fields import Field, Points, sample_lattice, smooth_noise, spline_matrix
from liver_seg_ros.short_repr import short_repr

STEP_MM = 3.0
WARP_SCALE_MM = 80.0
WARP_MM = 6.0  # standard deviation of the smooth deformation that makes patients differ


@dataclass(frozen=True, eq=False)
class LatticeShape:
    """A distance known at lattice points and everywhere between them by cubic B-splines.

    Attributes:
        start: LPS of lattice point `[0, 0, 0]`.
        step_mm: distance between neighbors.
        field: distance in mm, negative inside, `(Kc, Jc, Ic)`.
    """

    start: tuple[float, float, float]
    step_mm: float
    field: Field

    __repr__ = short_repr

    def distance(self, x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> Field:
        """`(K, J, I)` at the LPS coordinates in mm of columns `x`, rows `y` and slices `z`."""
        positions = [(axis - first) / self.step_mm for axis, first in zip((x, y, z), self.start, strict=True)]
        i, j, k = (spline_matrix(p, n) for p, n in zip(positions, reversed(self.field.shape), strict=True))
        return sample_lattice(self.field, k, j, i)


@dataclass(frozen=True, eq=False)
class Lattice:
    """Points every `step_mm` over a CT's grid and a little beyond.

    Attributes:
        start: LPS of lattice point `[0, 0, 0]`.
        step_mm: distance between neighbors.
        patient: the points' coordinates in the patient's frame, mm, arrays `(Kc, Jc, Ic)`.
    """

    start: tuple[float, float, float]
    step_mm: float
    patient: Points

    @staticmethod
    def over(geometry: Geometry, center: NDArray[np.float64], tilt_deg: float, rng: np.random.Generator) -> Lattice:
        """A lattice over an axis-aligned grid whose center is at `center` in the patient's frame.

        The patient lies turned by up to `tilt_deg` about each axis and deformed smoothly by some millimetres.
        """
        half = np.array(geometry.extent_mm) / 2
        middle = np.array(geometry.origin_mm) + half - np.array(geometry.spacing_mm) / 2
        start = middle - half - 2 * STEP_MM
        counts = np.ceil(2 * half / STEP_MM).astype(int) + 5
        axes = [(s + STEP_MM * np.arange(n) - m) for s, n, m in zip(start, counts, middle, strict=True)]
        x, y, z = axes[0][None, None, :], axes[1][None, :, None], axes[2][:, None, None]
        turn = Rotation.from_euler("xyz", rng.uniform(-tilt_deg, tilt_deg, 3), degrees=True).as_matrix()
        shape = (int(counts[2]), int(counts[1]), int(counts[0]))
        placed = [
            (r[0] * x + r[1] * y + r[2] * z + c + WARP_MM * smooth_noise(rng, shape, STEP_MM, WARP_SCALE_MM))
            for r, c in zip(turn, center, strict=True)
        ]
        px, py, pz = (p.astype(np.float32) for p in placed)
        return Lattice((float(start[0]), float(start[1]), float(start[2])), STEP_MM, Points(px, py, pz))

    def shape(self, field: Field) -> LatticeShape:
        """A field on this lattice, without the lattice's coordinates."""
        return LatticeShape(self.start, self.step_mm, field)

    def sample(self, field: Field, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """A field at LPS points `(N, 3)`, trilinear: `(N,)`; beyond the lattice its edge's value."""
        index = ((points_mm - np.array(self.start)) / self.step_mm)[:, ::-1].T
        return np.asarray(map_coordinates(field, index, order=1, mode="nearest"), dtype=float)

    def points_in(self, field: Field) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """LPS of the lattice points inside a shape, `(N, 3)`, and their depth in mm, `(N,)` positive."""
        inside = field < 0
        k, j, i = np.nonzero(inside)
        points = np.array(self.start) + np.stack([i, j, k], axis=1) * self.step_mm
        return points, -field[inside].astype(float)

    def find(self, patient_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """LPS `(3,)` of the lattice point nearest to a place in the patient's frame."""
        p = self.patient
        squared = (p.x - patient_mm[0]) ** 2 + (p.y - patient_mm[1]) ** 2 + (p.z - patient_mm[2]) ** 2
        k, j, i = np.unravel_index(int(np.argmin(squared)), squared.shape)
        return np.array(self.start) + np.array([i, j, k]) * self.step_mm
