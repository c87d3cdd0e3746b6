# SPDX-License-Identifier: Apache-2.0
"""Where the pixels of a picture are in the patient: a plane in LPS millimetres with square pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector, to_vector
from liver_seg_ros.short_repr import short_repr

#: Of a picture's longer side; more is no picture of a patient.
MOST_PX = 4096

#: A direction is named by an axis of the patient that it goes along by at least this much.
_NAMED = 0.35
_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))


@dataclass(frozen=True)
class PicturePlane:
    """A picture's place in the patient. `right`, `down` and `normal` are right-handed; `normal` points into it.

    Attributes:
        first_mm: LPS, the middle of the upper left pixel.
        right, down: unit vectors in which columns and rows grow, at right angles.
        pixel_mm: side of a pixel.
        width, height: pixels.

    Raises:
        InputError: sides, pixels or directions that make no picture, or a side of more than `MOST_PX`.
    """

    first_mm: Vector
    right: Vector
    down: Vector
    pixel_mm: float
    width: int
    height: int

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if not 0 < self.pixel_mm < np.inf or not np.isfinite(self.first_mm).all():
            raise InputError(f"pixels of {self.pixel_mm} mm from {self.first_mm} on make no picture")
        if min(self.width, self.height) < 1 or max(self.width, self.height) > MOST_PX:
            raise InputError(
                f"a picture of {self.width} x {self.height} pixels of {self.pixel_mm:g} mm; "
                f"give pixels of a size that leads to 1 to {MOST_PX} each way"
            )
        axes = np.array([self.right, self.down])
        if not np.allclose(axes @ axes.T, np.eye(2), atol=1e-6):
            raise InputError(f"right {self.right} and down {self.down} must be unit vectors at right angles")

    @property
    def normal(self) -> Vector:
        """Away from who looks at the picture."""
        return to_vector(np.cross(self.right, self.down))

    @property
    def center_mm(self) -> Vector:
        """LPS, the middle of the picture."""
        steps = np.array([[(self.width - 1) / 2], [(self.height - 1) / 2]]) * self.pixel_mm
        return to_vector(np.array(self.first_mm) + (steps * np.array([self.right, self.down])).sum(axis=0))

    @property
    def edge_letters(self) -> tuple[str, str, str, str]:
        """Which side of the patient is left, right, at the top and at the bottom, as DICOM names them ("R", "RA")."""
        right, down = np.array(self.right), np.array(self.down)
        return _letters(-right), _letters(right), _letters(-down), _letters(down)

    def points_mm(self) -> NDArray[np.float64]:
        """`(height, width, 3)` LPS, the middle of each pixel."""
        columns = np.arange(self.width)[:, None] * self.pixel_mm * np.array(self.right)
        rows = np.arange(self.height)[:, None, None] * self.pixel_mm * np.array(self.down)
        return np.array(self.first_mm) + columns + rows

    def in_picture(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """`(..., 2)` column and row of LPS points `(..., 3)`, seen along the normal; the middle of a pixel is whole."""
        away = np.asarray(points_mm, dtype=float) - np.array(self.first_mm)
        return away @ np.array([self.right, self.down]).T / self.pixel_mm


def plane_along(tip_mm: ArrayLike, direction: ArrayLike, pixel_mm: float, side_mm: float) -> PicturePlane:
    """A square that holds a needle's axis, with the tip in its middle, as radiologists look at it.

    Of all planes through the axis it is the most axial one, seen from the feet with the patient's right on the left;
    for a needle that goes along the body more than across, the most coronal one, seen from the front.

    Args:
        tip_mm: `(3,)` LPS.
        direction: `(3,)` in which the needle points, of any length.
        side_mm: of the square.

    Raises:
        InputError: a direction of zero, or what `PicturePlane` refuses.
    """
    axis = np.asarray(direction, dtype=float)
    length = float(np.linalg.norm(axis))
    if not 0 < length < np.inf:
        raise InputError(f"a needle that points along {axis.tolist()} has no plane")
    axis = axis / length
    into = np.eye(3)[1 if np.argmax(np.abs(axis)) == 2 else 2]
    normal = into - (into @ axis) * axis
    normal /= np.linalg.norm(normal)  # at least 0.7: `into` is not the axis that the needle goes along most
    right = np.array([1.0, 0.0, 0.0]) - normal[0] * normal
    right /= np.linalg.norm(right)
    down = np.cross(normal, right)
    pixels = max(1, round(side_mm / pixel_mm))
    first = np.asarray(tip_mm, dtype=float) - (pixels - 1) / 2 * pixel_mm * (right + down)
    return PicturePlane(to_vector(first), to_vector(right), to_vector(down), pixel_mm, pixels, pixels)


def _letters(direction: NDArray[np.float64]) -> str:
    """The largest part first."""
    parts = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    return "".join(_LETTERS[axis][int(direction[axis] > 0)] for axis in parts if abs(direction[axis]) >= _NAMED)
