# SPDX-License-Identifier: Apache-2.0
"""Slices of a volume along the patient's axes, whatever the orientation of its grid.

A slice is sampled on a square raster in LPS mm and shown as radiologists look at it: the patient's right on the left
of an axial or coronal slice, front on the left of a sagittal one, front or head up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.geometry import Geometry, to_vector
from liver_seg_ros.labels import LIVER, TUMOR
from liver_seg_ros.rendering.picture_plane import PicturePlane
from liver_seg_ros.rendering.sampling import sampled_picture
from liver_seg_ros.volume import LabelVolume, Volume

View = Literal["axial", "coronal", "sagittal"]

#: Per view: the LPS axis and sign in which its columns grow and the same for its rows.
AXES: dict[View, tuple[tuple[int, int], tuple[int, int]]] = {
    "axial": ((0, 1), (1, 1)),
    "coronal": ((0, 1), (2, -1)),
    "sagittal": ((1, 1), (2, -1)),
}

#: Per view: the letters at the left, right, top and bottom of the picture.
EDGE_LETTERS: dict[View, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}


def normal_axis(view: View) -> int:
    """The LPS axis along which the slices of `view` follow each other."""
    (column, _), (row, _) = AXES[view]
    return 3 - column - row


@dataclass(frozen=True)
class Extent:
    """The LPS box in mm around a grid, voxel borders included."""

    low_mm: NDArray[np.float64]
    high_mm: NDArray[np.float64]

    @staticmethod
    def of(geometry: Geometry) -> Extent:
        """The extent of all corners of the grid."""
        borders = [(-0.5, n - 0.5) for n in geometry.size]
        corners = geometry.index_to_lps(np.array(np.meshgrid(*borders)).reshape(3, -1).T)
        return Extent(corners.min(axis=0), corners.max(axis=0))

    def size_mm(self, view: View) -> tuple[float, float]:
        """Width and height of a slice in mm."""
        (column, _), (row, _) = AXES[view]
        size = self.high_mm - self.low_mm
        return float(size[column]), float(size[row])

    def in_picture(self, view: View, point_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where LPS points `(..., 3)` are in a slice: mm from its left and upper border, each `(...)`."""
        points = np.asarray(point_mm, dtype=float)
        (column, column_sign), (row, row_sign) = AXES[view]
        across = points[..., column] - self.low_mm[column]
        down = points[..., row] - self.low_mm[row]
        width, height = self.size_mm(view)
        return across if column_sign > 0 else width - across, down if row_sign > 0 else height - down


def point_of_interest(labels: LabelVolume) -> NDArray[np.float64]:
    """`(3,)` LPS mm: a voxel in the middle of the largest slice of tumor, else of liver, else the center."""
    for structure in (TUMOR, LIVER):
        mask = labels.mask(structure.value)
        area = mask.sum(axis=(1, 2))
        k = int(area.argmax())
        if area[k] == 0:
            continue
        j_i = np.argwhere(mask[k])
        nearest = np.linalg.norm(j_i - j_i.mean(axis=0), axis=1).argmin()
        return labels.geometry.index_to_lps([j_i[nearest][1], j_i[nearest][0], k])
    return labels.geometry.index_to_lps([(n - 1) / 2 for n in labels.geometry.size])


def draw_slice(
    volume: Volume, labels: LabelVolume, view: View, through_mm: NDArray[np.float64], pixel_mm: float
) -> NDArray[np.uint8]:
    """`(height, width, 3)` uint8: the CT in the abdominal window, each structure tinted and outlined in its color.

    `volume` and `labels` are on the same grid. Outside of it the picture is black.
    """
    return sampled_picture(volume, labels, view_plane(volume.geometry, view, through_mm, pixel_mm).points_mm())


def view_plane(geometry: Geometry, view: View, through_mm: ArrayLike, pixel_mm: float) -> PicturePlane:
    """The plane of a view through an LPS point, as large as the grid."""
    extent = Extent.of(geometry)
    (column, column_sign), (row, row_sign) = AXES[view]
    width, height = (max(1, round(mm / pixel_mm)) for mm in extent.size_mm(view))
    right, down = column_sign * np.eye(3)[column], row_sign * np.eye(3)[row]
    first = np.array(through_mm, dtype=float)
    first[column] = (extent.low_mm if column_sign > 0 else extent.high_mm)[column] + column_sign * pixel_mm / 2
    first[row] = (extent.low_mm if row_sign > 0 else extent.high_mm)[row] + row_sign * pixel_mm / 2
    return PicturePlane(to_vector(first), to_vector(right), to_vector(down), pixel_mm, width, height)
