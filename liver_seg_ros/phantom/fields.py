# SPDX-License-Identifier: Apache-2.0
"""Implicit shapes on a coarse lattice: signed distances in mm, negative inside.

Organs are smooth at the scale of millimetres, so their distances are computed on a lattice of about 3 mm and brought to
the CT's grid by cubic B-splines, one matrix per axis. That is what makes a 512x512x300 phantom a matter of seconds.
Distances of superellipsoids are radial approximations: exact on the surface, which is all that a label needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline

Field = NDArray[np.floating[Any]]  # float32; the looser type spares casts that change nothing

#: Shapes are not evaluated on slices further away than this; the field reads `FAR` there.
NEAR = 20.0
FAR = 40.0


@dataclass(frozen=True, eq=False)
class Points:
    """Coordinates of a set of points in mm, one array per axis (x to the left, y posterior, z superior)."""

    x: Field
    y: Field
    z: Field

    @cached_property
    def slice_range(self) -> tuple[Field, Field]:
        """Lowest and highest z on each slice of the array: what lets a shape skip the slices that it cannot reach."""
        return self.z.min(axis=(1, 2)), self.z.max(axis=(1, 2))

    def scaled(self, x: float, y: float, z: float) -> Points:
        """The points in a frame whose unit is `x`, `y`, `z` mm along the axes."""
        return Points(self.x / np.float32(x), self.y / np.float32(y), self.z / np.float32(z))


def spline_matrix(positions: ArrayLike, count: int) -> Field:
    """Cubic B-spline weights, `(len(positions), count)`, for sampling `count` lattice values at fractional indices.

    Positions beyond the lattice's ends are clamped to them. Rows sum to 1; the spline smooths by about a lattice step.
    """
    clamped = np.clip(np.asarray(positions, dtype=float), 0, count - 1)
    knots = np.arange(-3, count + 5) - 1.0  # basis function c is centered on knot index c + 2
    basis = BSpline.design_matrix(clamped, knots, 3).toarray()  # (P, count + 4): centers -2 .. count + 1
    weights = basis[:, 2 : count + 2].copy()
    weights[:, 0] += basis[:, :2].sum(axis=1)  # repeat the edge values outside the lattice
    weights[:, -1] += basis[:, count + 2 :].sum(axis=1)
    return weights.astype(np.float32)


def sample_lattice(lattice: Field, k: Field, j: Field, i: Field) -> Field:
    """A lattice `(Kc, Jc, Ic)` at a grid's points, given one `spline_matrix` per axis: `(K, J, I)`."""
    planes = np.tensordot(k, lattice, axes=(1, 0))  # (K, Jc, Ic)
    return np.matmul(np.matmul(j, planes), i.T)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int, int], step_mm: float, scale_mm: float) -> Field:
    """Unit-variance noise on a lattice of `shape` and `step_mm`, smooth at `scale_mm`."""
    counts = [max(4, int(np.ceil(n * step_mm / scale_mm)) + 3) for n in shape]
    control = rng.standard_normal(counts).astype(np.float32)
    matrices = [spline_matrix(np.arange(n) * step_mm / scale_mm + 1, c) for n, c in zip(shape, counts, strict=True)]
    noise = sample_lattice(control, *matrices)
    return np.asarray(noise / max(float(noise.std()), 1e-6), dtype=np.float32)


def superellipsoid(
    points: Points,
    center: ArrayLike,
    radii: ArrayLike,
    exponent: float = 2.0,
    rotation: NDArray[np.float64] | None = None,
) -> Field:
    """Radial distance to a superellipsoid of `radii` about `center`, both in the points' unit.

    `rotation` is a 3x3 matrix whose columns are the ellipsoid's axes.
    """
    reach = float(np.max(radii)) + NEAR
    z_center = float(np.asarray(center)[2])

    def distance(part: Points) -> Field:
        return _radial(part, center, radii, exponent, rotation)

    return _on_slices(points, z_center - reach, z_center + reach, distance)


def _radial(
    points: Points, center: ArrayLike, radii: ArrayLike, exponent: float, rotation: NDArray[np.float64] | None
) -> Field:
    cx, cy, cz = np.asarray(center, dtype=np.float32)
    rx, ry, rz = np.asarray(radii, dtype=np.float32)
    dx, dy, dz = points.x - cx, points.y - cy, points.z - cz
    squared = dx * dx + dy * dy + dz * dz
    if rotation is not None:
        r = rotation.astype(np.float32)
        dx, dy, dz = (r[0, a] * dx + r[1, a] * dy + r[2, a] * dz for a in range(3))
    if exponent == 2.0:
        f = np.sqrt((dx / rx) ** 2 + (dy / ry) ** 2 + (dz / rz) ** 2)
    else:
        n = np.float32(exponent)
        f = (np.abs(dx / rx) ** n + np.abs(dy / ry) ** n + np.abs(dz / rz) ** n) ** (1 / n)
    tiny = np.float32(1e-4)  # so that the center itself comes out as deep inside, not as 0 / 0
    f = f + tiny / min(rx, ry, rz)
    return (np.sqrt(squared) + tiny) * (f - 1) / f


def tube(points: Points, path: ArrayLike, radii: ArrayLike) -> Field:
    """Distance to a chain of capsules along `path` `(N, 3)` whose radius goes linearly between `radii` `(N,)`."""
    path, radii = np.asarray(path, dtype=np.float32), np.asarray(radii, dtype=np.float32)
    result = np.full(points.z.shape, FAR, dtype=np.float32)
    for a, b, ra, rb in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        reach = float(max(ra, rb)) + NEAR
        near = _slices(points, float(min(a[2], b[2])) - reach, float(max(a[2], b[2])) + reach)
        part = Points(points.x[near], points.y[near], points.z[near])
        np.minimum(result[near], capsule(part, a, b, float(ra), float(rb)), out=result[near])
    return result


def _slices(points: Points, low: float, high: float) -> slice:
    lowest, highest = points.slice_range
    near = np.flatnonzero((highest >= low) & (lowest <= high))
    return slice(int(near[0]), int(near[-1]) + 1) if near.size else slice(0, 0)


def _on_slices(points: Points, low: float, high: float, distance: Callable[[Points], Field]) -> Field:
    """`distance` on the slices between two heights, `FAR` on the others."""
    if points.z.ndim != 3 or points.z.shape[1:] == (1, 1):  # broadcastable axes: nothing to skip
        return distance(points)
    result = np.full(points.z.shape, FAR, dtype=np.float32)
    near = _slices(points, low, high)
    result[near] = distance(Points(points.x[near], points.y[near], points.z[near]))
    return result


def capsule(points: Points, a: NDArray[np.floating], b: NDArray[np.floating], ra: float, rb: float) -> Field:
    """Distance to a capsule from `a` with radius `ra` to `b` with radius `rb`."""
    ab = np.asarray(b - a, dtype=np.float32)
    dx, dy, dz = points.x - np.float32(a[0]), points.y - np.float32(a[1]), points.z - np.float32(a[2])
    length_squared = max(float(ab @ ab), 1e-9)
    t = np.clip((dx * ab[0] + dy * ab[1] + dz * ab[2]) / np.float32(length_squared), 0, 1)
    dx, dy, dz = dx - t * ab[0], dy - t * ab[1], dz - t * ab[2]
    return np.sqrt(dx * dx + dy * dy + dz * dz) - (np.float32(ra) + t * np.float32(rb - ra))


def smooth_union(a: Field, b: Field, width_mm: float) -> Field:
    """Union of two shapes with the crease rounded over `width_mm`."""
    h = np.maximum(np.float32(width_mm) - np.abs(a - b), 0) / np.float32(width_mm)
    return np.minimum(a, b) - h * h * np.float32(width_mm / 4)


def smooth_intersection(a: Field, b: Field, width_mm: float) -> Field:
    """Intersection of two shapes with the edge rounded over `width_mm`."""
    return -smooth_union(-a, -b, width_mm)


def subtract(a: Field, b: Field, gap_mm: float = 0.0) -> Field:
    """What of shape `a` is further than `gap_mm` from shape `b`."""
    return np.maximum(a, np.float32(gap_mm) - b)
