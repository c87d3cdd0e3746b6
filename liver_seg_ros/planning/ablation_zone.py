# SPDX-License-Identifier: Apache-2.0
"""The zone that an ablation destroys: an ellipsoid of revolution about the needle, as manufacturers state it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector, finite_vector, mm3_to_ml, to_vector
from liver_seg_ros.plain import plain_fields

#: Halvings of the interval in which the nearest point of an ellipse is sought: to the last digit.
HALVINGS = 60


@dataclass(frozen=True)
class AblationZone:
    """An ellipsoid with the needle as its axis.

    Attributes:
        center_mm: LPS.
        axis: unit vector along the needle.
        along_mm, across_mm: its semi-axes along the needle and at right angles to it.

    Raises:
        InputError: not three finite numbers, a radius that is not positive, or an axis without a direction.
    """

    center_mm: Vector
    axis: Vector
    along_mm: float
    across_mm: float

    def __post_init__(self) -> None:
        axis = np.array(finite_vector(self.axis, "an ablation's axis"))
        length = float(np.linalg.norm(axis))
        if length < 1e-6:
            raise InputError(f"an ablation's axis is {axis.tolist()}; give a direction, not zero")
        if not all(0 < radius < np.inf for radius in (self.along_mm, self.across_mm)):
            raise InputError(f"ablation of radii {self.along_mm} and {self.across_mm} mm; give positive radii")
        object.__setattr__(self, "center_mm", finite_vector(self.center_mm, "an ablation's center_mm"))
        object.__setattr__(self, "axis", to_vector(axis / length))

    @staticmethod
    def on_trajectory(
        entry_mm: ArrayLike, target_mm: ArrayLike, along_mm: float, across_mm: float, offset_mm: float = 0.0
    ) -> AblationZone:
        """The zone of a needle from entry to target, centered `offset_mm` beyond the target (before it if negative).

        Raises:
            InputError: entry and target at the same place, or as above.
        """
        entry = np.array(finite_vector(entry_mm, "a needle's entry_mm"))
        target = np.array(finite_vector(target_mm, "a needle's target_mm"))
        length = float(np.linalg.norm(target - entry))
        if not length > 1e-6:
            raise InputError(f"entry {entry.tolist()} and target {target.tolist()} are not two places")
        axis = (target - entry) / length
        return AblationZone(to_vector(target + offset_mm * axis), to_vector(axis), along_mm, across_mm)

    @property
    def volume_ml(self) -> float:
        """Volume of the ellipsoid."""
        return mm3_to_ml(4 / 3 * np.pi * self.along_mm * self.across_mm**2)

    def contains(self, points_mm: ArrayLike) -> NDArray[np.bool_]:
        """`(...)` whether points `(..., 3)` lie in it."""
        along, across = self._from_axis(points_mm)
        return np.asarray((along / self.along_mm) ** 2 + (across / self.across_mm) ** 2 <= 1)

    def depth_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """`(...)` distances of points `(..., 3)` from its surface, positive inside, negative outside.

        In the plane of a point and the axis it is the distance from an ellipse (Eberly, Distance from a Point to an
        Ellipse, section 2: the root of a decreasing convex function, here by bisection for all points at once).
        """
        along, across = self._from_axis(points_mm)
        if self.along_mm >= self.across_mm:
            long, short, x, y = self.along_mm, self.across_mm, along, across
        else:
            long, short, x, y = self.across_mm, self.along_mm, across, along
        y = y.clip(min=1e-7)  # on the long axis itself the function has no root; a ten-millionth of a mm beside it has
        ratio = (long / short) ** 2
        u, v = x / long, y / short
        low, high = v - 1, np.maximum(np.hypot(ratio * u, v) - 1, v - 1)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            outside = (ratio * u / (middle + ratio)) ** 2 + (v / (middle + 1)) ** 2 > 1
            low, high = np.where(outside, middle, low), np.where(outside, high, middle)
        root = (low + high) / 2
        distance = np.hypot(x - ratio * x / (root + ratio), y - y / (root + 1))
        return np.where(u**2 + v**2 <= 1, distance, -distance)

    def length_inside_mm(
        self, start_mm: NDArray[np.float64], along_mm: NDArray[np.float64], radius_mm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """`(V,)` lengths of straight vessels over which their walls reach into the zone.

        That is the length of the axis inside the ellipsoid grown by the vessel's radius. It falls short of the exact
        offset surface by less than 0.1 mm where the radii of the zone differ by less than a factor of 1.5.

        Args:
            start_mm, along_mm: `(V, 3)` where each vessel begins and where it leads from there.
            radius_mm: `(V,)`.
        """

        def scaled(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
            along = vectors @ self.axis
            across = vectors - along[:, None] * self.axis
            return (
                along[:, None] / (self.along_mm + radius_mm)[:, None] * self.axis
                + across / (self.across_mm + radius_mm)[:, None]
            )

        start, along = scaled(start_mm - self.center_mm), scaled(along_mm)  # in which the ellipsoid is the unit ball
        a = np.einsum("vx,vx->v", along, along)
        b = np.einsum("vx,vx->v", start, along)
        c = np.einsum("vx,vx->v", start, start) - 1
        root = np.sqrt((b**2 - a * c).clip(min=0))  # clipped where the line passes by: then both ends are the same
        a = np.where(a > 0, a, np.inf)
        fraction = ((-b + root) / a).clip(0, 1) - ((-b - root) / a).clip(0, 1)
        return fraction * np.linalg.norm(along_mm, axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**plain_fields(self), "volume_ml": self.volume_ml}

    def _from_axis(self, points_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far points are from the center along the axis, and from the axis; both not negative."""
        offset = np.asarray(points_mm, np.float64) - self.center_mm
        along = offset @ self.axis
        return np.abs(along), np.linalg.norm(offset - along[..., None] * np.array(self.axis), axis=-1)
