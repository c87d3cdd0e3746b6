"""Slices of a volume along the patient's axes, whatever the orientation of its grid.

A slice is sampled on a square raster in LPS mm and shown as radiologists look at it: the patient's right on the left
of an axial or coronal slice, front on the left of a sagittal one, front or head up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR
from liver_seg_ros.volume import LabelVolume, Volume

View = Literal["axial", "coronal", "sagittal"]

#: Abdominal soft tissue.
WINDOW_HU = (-160.0, 240.0)

#: Share of a structure's own color inside its outline.
TINT = 0.28

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
    index = _raster(volume.geometry, view, through_mm, pixel_mm)
    outside = _outside(index, volume.geometry)
    low, high = WINDOW_HU
    gray = ((_sample(volume.array, index) - low) / (high - low)).clip(0, 1)
    gray[outside] = 0
    picture = np.repeat(gray[..., None], 3, axis=2) * 255
    for structure in labels.structures():
        mask = labels.mask(structure.value)
        inside = (_sample(mask.view(np.uint8), index) >= 0.5) & ~outside
        color = np.array(structure.color_rgb, dtype=float)
        picture[inside] = (1 - TINT) * picture[inside] + TINT * color
        picture[_outline(inside)] = color
    return np.round(picture).astype(np.uint8)


def _raster(geometry: Geometry, view: View, through_mm: NDArray[np.float64], pixel_mm: float) -> NDArray[np.float64]:
    """`(3, height, width)` voxel indices `(k, j, i)` of the pixels' centers."""
    extent = Extent.of(geometry)
    (column, column_sign), (row, row_sign) = AXES[view]
    width, height = (max(1, round(mm / pixel_mm)) for mm in extent.size_mm(view))
    points = np.empty((height, width, 3))
    points[:] = through_mm
    points[..., column] = _along(extent, column, column_sign, width, pixel_mm)
    points[..., row] = _along(extent, row, row_sign, height, pixel_mm)[:, None]
    return np.moveaxis(geometry.lps_to_index(points)[..., ::-1], -1, 0)


def _along(extent: Extent, axis: int, sign: int, count: int, pixel_mm: float) -> NDArray[np.float64]:
    steps = (np.arange(count) + 0.5) * pixel_mm
    return extent.low_mm[axis] + steps if sign > 0 else extent.high_mm[axis] - steps


def _sample(array: NDArray[np.generic], index_kji: NDArray[np.float64]) -> NDArray[np.float32]:
    return map_coordinates(array, index_kji, output=np.float32, order=1, mode="nearest")


def _outside(index_kji: NDArray[np.float64], geometry: Geometry) -> NDArray[np.bool_]:
    last = np.array(geometry.shape).reshape(3, 1, 1) - 0.5
    return np.any((index_kji < -0.5) | (index_kji > last), axis=0)


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of `inside` that have a neighbor outside, above, below, left or right."""
    padded = np.pad(inside, 1)
    return inside & ~(padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2])
