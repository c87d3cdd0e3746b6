# SPDX-License-Identifier: Apache-2.0
"""Where voxels are: the one mapping between indices, LPS millimetres and ROS metres.

Points are given as `(..., 3)` arrays. Index points are in file order `(i, j, k)` = (column, row, slice) and may be
fractional; the center of the first voxel is `(0, 0, 0)`. Arrays of voxels are indexed `[k, j, i]`: `Geometry.shape` is
the array's shape, `Geometry.size` the same three numbers in file order, and everything that a file stores per axis
(size, spacing, direction columns) is in file order `(i, j, k)`.

LPS is DICOM's patient frame: +x to the patient's left, +y to the posterior, +z to the superior. The ROS frame `ct_lps`
has the same axes in metres, so that the two differ by a factor of 1000 and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.errors import InputError

MM_PER_M = 1000.0
MM3_PER_ML = 1000.0
ML_PER_M3 = 1e6

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Box:
    """A box of voxels, half-open like a slice: `start` inside, `stop` outside, both `(i, j, k)`.

    Raises `InputError` where `stop` is not beyond `start` on every axis, or they are not three.
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    def __post_init__(self) -> None:
        if len(self.start) != 3 or len(self.stop) != 3:
            raise InputError(f"box from {self.start} to {self.stop}: give three voxel indices for each")
        if any(b <= a for a, b in zip(self.start, self.stop, strict=True)):
            raise InputError(f"box from {self.start} to {self.stop} is empty")

    @property
    def size(self) -> tuple[int, int, int]:
        """Voxels along `(i, j, k)`."""
        i, j, k = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return i, j, k

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The index that cuts this box out of an array `[k, j, i]`."""
        i, j, k = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return k, j, i

    def padded(self, margin: tuple[int, int, int], size: tuple[int, int, int]) -> Box:
        """This box grown by `margin` voxels on both sides of each axis, cut off at a grid of `size`."""
        if len(margin) != 3 or len(size) != 3:
            raise InputError(f"a margin of {margin} voxels on a grid of {size}: give three numbers for each")
        start = tuple(max(0, a - m) for a, m in zip(self.start, margin, strict=True))
        stop = tuple(min(n, b + m) for b, m, n in zip(self.stop, margin, size, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]

    def within(self, size: tuple[int, int, int]) -> Box:
        """What of this box lies on a grid of `size`. Raises `InputError` where nothing does."""
        return self.padded((0, 0, 0), size)

    def seen_from(self, other: Box) -> Box:
        """This box in the indices of an array that was cut out along `other`."""
        start = tuple(a - first for a, first in zip(self.start, other.start, strict=True))
        stop = tuple(b - first for b, first in zip(self.stop, other.start, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]

    @staticmethod
    def around(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> Box | None:
        """The smallest box that holds every non-zero voxel of `mask` `[k, j, i]`; None where there is none."""
        in_slice = np.asarray(mask.any(axis=2))  # (K, J): the one pass over all voxels
        k = np.flatnonzero(in_slice.any(axis=1))
        if k.size == 0:
            return None
        j = np.flatnonzero(in_slice.any(axis=0))
        i = np.flatnonzero(mask[k[0] : k[-1] + 1, j[0] : j[-1] + 1].any(axis=(0, 1)))
        return Box((int(i[0]), int(j[0]), int(k[0])), (int(i[-1]) + 1, int(j[-1]) + 1, int(k[-1]) + 1))


@dataclass(frozen=True)
class Geometry:
    """An immutable voxel grid in LPS millimetres.

    Attributes:
        size: voxels along `(i, j, k)`.
        spacing_mm: distance between voxel centers along `(i, j, k)`.
        origin_mm: LPS position of the center of voxel `(0, 0, 0)`.
        direction: 3x3 orthonormal matrix; column `a` is the LPS direction in which index `a` grows.

    Raises:
        InputError: size or spacing not positive, a number that is not finite, or a direction that is not orthonormal.
    """

    size: tuple[int, int, int]
    spacing_mm: Vector = (1.0, 1.0, 1.0)
    origin_mm: Vector = (0.0, 0.0, 0.0)
    direction: Matrix = IDENTITY

    def __post_init__(self) -> None:
        if len(self.size) != 3 or not np.isfinite(self.size).all() or min(self.size) < 1:
            raise InputError(f"size {self.size} must be three positive numbers of voxels")
        object.__setattr__(self, "size", tuple(int(n) for n in self.size))
        object.__setattr__(self, "spacing_mm", tuple(float(s) for s in self.spacing_mm))
        object.__setattr__(self, "origin_mm", tuple(float(o) for o in self.origin_mm))
        _check_spacing(self.spacing_mm)
        if len(self.origin_mm) != 3 or not all(np.isfinite(self.origin_mm)):
            raise InputError(f"origin {self.origin_mm} must be three finite coordinates in mm")
        flat = np.ravel(np.asarray(self.direction, dtype=float))
        if flat.size != 9:
            raise InputError(f"direction of {flat.size} numbers must be a 3x3 matrix")
        matrix = flat.reshape(3, 3)
        object.__setattr__(self, "direction", tuple(tuple(float(v) for v in row) for row in matrix))
        if not np.allclose(matrix.T @ matrix, np.eye(3), atol=1e-3):
            rows = "; ".join(" ".join(f"{v:.4g}" for v in row) for row in matrix)
            raise InputError(f"direction ({rows}) is not orthonormal: axes not at right angles, or not of length 1")

    def __repr__(self) -> str:
        return f"Geometry({self.in_words}, first at {_listed(self.origin_mm, ', ')} mm)"

    @property
    def in_words(self) -> str:
        """Size, spacing and orientation, e.g. "512 x 512 x 300 voxels of 0.75 x 0.75 x 1 mm, LPS"."""
        return f"{_listed(self.size)} voxels of {_listed(self.spacing_mm)} mm, {self.orientation}"

    @property
    def orientation(self) -> str:
        """Three letters: towards which side of the patient i, j and k grow (L/R, P/A, S/I), the nearest where oblique.

        `LPS` is the usual one of DICOM; an axis that two index axes are nearest to appears twice.
        """
        letters = ("LR", "PA", "SI")
        columns = ((int(abs(column).argmax()), column) for column in self.direction_matrix.T)
        return "".join(letters[axis][0 if column[axis] > 0 else 1] for axis, column in columns)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an array on this grid, `(K, J, I)`."""
        i, j, k = self.size
        return k, j, i

    @property
    def direction_matrix(self) -> NDArray[np.float64]:
        """`direction` as a 3x3 array."""
        return np.array(self.direction)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_mm))

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel."""
        return mm3_to_ml(self.voxel_volume_mm3)

    @property
    def extent_mm(self) -> Vector:
        """Edge lengths of the grid along `(i, j, k)`, voxel borders included."""
        i, j, k = (n * s for n, s in zip(self.size, self.spacing_mm, strict=True))
        return i, j, k

    def voxels_over(self, length_mm: float) -> tuple[int, int, int]:
        """How many voxels along `(i, j, k)` are at least `length_mm` long together."""
        i, j, k = (ceil(length_mm / spacing_mm) for spacing_mm in self.spacing_mm)
        return i, j, k

    @property
    def corners(self) -> NDArray[np.float64]:
        """`(8, 3)` indices `(i, j, k)` of the corner voxels: two grids of one size differ most in one of them."""
        return np.array(list(product(*[(0, n - 1) for n in self.size])), float)

    @property
    def is_right_handed(self) -> bool:
        """True where the index axes form a right-handed frame, as ROS poses and outward windings require."""
        return bool(np.linalg.det(self.direction_matrix) > 0)

    @property
    def affine(self) -> NDArray[np.float64]:
        """4x4 matrix from homogeneous `(i, j, k, 1)` to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.direction_matrix * np.array(self.spacing_mm)
        matrix[:3, 3] = self.origin_mm
        return matrix

    def index_to_lps(self, points_ijk: ArrayLike) -> NDArray[np.float64]:
        """LPS millimetres of index points, `(..., 3)` to `(..., 3)`."""
        affine = self.affine
        return np.asarray(points_ijk, dtype=float) @ affine[:3, :3].T + affine[:3, 3]

    def lps_to_index(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Fractional indices `(i, j, k)` of LPS points in mm, `(..., 3)` to `(..., 3)`."""
        affine = self.affine
        return (np.asarray(points_mm, dtype=float) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T

    def index_to_ros(self, points_ijk: ArrayLike) -> NDArray[np.float64]:
        """Metres in the frame `ct_lps` of index points, `(..., 3)` to `(..., 3)`."""
        return lps_to_ros(self.index_to_lps(points_ijk))

    def ros_to_index(self, points_m: ArrayLike) -> NDArray[np.float64]:
        """Fractional indices of points in metres in the frame `ct_lps`, `(..., 3)` to `(..., 3)`."""
        return self.lps_to_index(ros_to_lps(points_m))

    def crop(self, box: Box) -> Geometry:
        """The geometry of the voxels in `box`, each at the place where it was.

        Raises `InputError` where the box reaches beyond the grid.
        """
        if min(box.start) < 0 or any(b > n for b, n in zip(box.stop, self.size, strict=True)):
            raise InputError(f"box from {box.start} to {box.stop} reaches beyond a grid of {self.size}")
        origin = self.index_to_lps(box.start)
        return replace(self, size=box.size, origin_mm=tuple(origin))

    def place_of(self, other: Geometry) -> Box:
        """Where on this grid `other` lies, which was cut out of it and perhaps padded; it may reach beyond."""
        i, j, k = np.rint(self.lps_to_index(other.origin_mm)).astype(int).tolist()
        return Box((i, j, k), (i + other.size[0], j + other.size[1], k + other.size[2]))

    def shared_with(self, other: Geometry) -> tuple[Box, Box]:
        """Where what `other` shares with this grid lies on this one and on the other; see `place_of`.

        Raises `InputError` where they share nothing.
        """
        place = self.place_of(other)
        here = place.within(self.size)
        return here, here.seen_from(place)

    def padded(self, before: tuple[int, int, int], behind: tuple[int, int, int] | None = None) -> Geometry:
        """This grid with more voxels before the first and behind the last of each axis; as many where None."""
        sizes = zip(before, self.size, before if behind is None else behind, strict=True)
        i, j, k = (a + n + b for a, n, b in sizes)
        return replace(self, size=(i, j, k), origin_mm=tuple(self.index_to_lps([-a for a in before])))

    def strided(self, step: tuple[int, int, int]) -> Geometry:
        """The grid of every `step`-th voxel along `(i, j, k)`, the first included."""
        i, j, k = (-(-n // s) for n, s in zip(self.size, step, strict=True))
        return replace(self, size=(i, j, k), spacing_mm=to_vector(np.multiply(self.spacing_mm, step)))

    def in_blocks(self, step: tuple[int, int, int]) -> Geometry:
        """The grid of blocks of `step` voxels along `(i, j, k)`, each at its middle; the last may reach beyond."""
        origin = self.index_to_lps((np.array(step) - 1) / 2)
        return replace(self.strided(step), origin_mm=tuple(origin))

    def flip(self, axis: int) -> Geometry:
        """The same grid counted from the other end of index axis `axis` (0 = i, 1 = j, 2 = k)."""
        last = [0, 0, 0]
        last[axis] = self.size[axis] - 1
        direction = self.direction_matrix
        direction[:, axis] *= -1
        return replace(self, origin_mm=tuple(self.index_to_lps(last)), direction=_matrix(direction))

    def permute(self, axes: tuple[int, int, int]) -> Geometry:
        """The same grid with its index axes in another order: new axis `a` is old axis `axes[a]`."""
        a, b, c = axes
        return Geometry(
            size=(self.size[a], self.size[b], self.size[c]),
            spacing_mm=(self.spacing_mm[a], self.spacing_mm[b], self.spacing_mm[c]),
            origin_mm=self.origin_mm,
            direction=_matrix(self.direction_matrix[:, list(axes)]),
        )

    def resampled(self, spacing_mm: Vector) -> Geometry:
        """A grid of another spacing over the same extent: the outer voxel borders at the start coincide.

        The size is rounded to the nearest, so that the far border moves by at most half a new voxel.
        """
        _check_spacing(spacing_mm)
        size = [max(1, round(n * s / t)) for n, s, t in zip(self.size, self.spacing_mm, spacing_mm, strict=True)]
        first = [(t / s - 1) / 2 for s, t in zip(self.spacing_mm, spacing_mm, strict=True)]
        return Geometry(tuple(size), spacing_mm, tuple(self.index_to_lps(first)), self.direction)  # type: ignore[arg-type]

    def is_same_grid(self, other: Geometry, tolerance_mm: float = 1e-2) -> bool:
        """True where sizes agree and no corner of the two grids is further apart than `tolerance_mm`."""
        if self.size != other.size:
            return False
        apart = self.index_to_lps(self.corners) - other.index_to_lps(self.corners)
        return bool(np.abs(apart).max() <= tolerance_mm)


def mm3_to_ml(volume_mm3: float) -> float:
    """A volume in cubic millimetres in millilitres."""
    return volume_mm3 / MM3_PER_ML


def lps_to_ros(points_mm: ArrayLike) -> NDArray[np.float64]:
    """Metres in the frame `ct_lps` of LPS points in mm: same axes, another unit."""
    return np.asarray(points_mm, dtype=float) / MM_PER_M


def ros_to_lps(points_m: ArrayLike) -> NDArray[np.float64]:
    """LPS points in mm of points in metres in the frame `ct_lps`."""
    return np.asarray(points_m, dtype=float) * MM_PER_M


def to_vector(point: ArrayLike) -> Vector:
    """A point or direction `(3,)` as plain floats, as frozen dataclasses and JSON hold it."""
    x, y, z = np.asarray(point, dtype=float).tolist()
    return x, y, z


def finite_vector(point: ArrayLike, what: str) -> Vector:
    """`to_vector` of what a caller gives. Raises `InputError`, naming `what`, unless it is three finite numbers."""
    array = np.asarray(point, dtype=float)
    if array.shape != (3,) or not np.isfinite(array).all():
        raise InputError(f"{what} is {array.tolist()}; they must be finite numbers, three of them")
    return to_vector(array)


def _check_spacing(spacing_mm: Sequence[float]) -> None:
    if len(spacing_mm) != 3 or not all(np.isfinite(spacing_mm)) or min(spacing_mm) <= 0:
        raise InputError(f"spacing {tuple(spacing_mm)} must be three positive lengths in mm")


def _listed(numbers: Iterable[float], between: str = " x ") -> str:
    return between.join(f"{number:.6g}" for number in numbers)


def _matrix(array: NDArray[np.float64]) -> Matrix:
    a, b, c = (tuple(float(v) for v in row) for row in array)
    return a, b, c  # type: ignore[return-value]
