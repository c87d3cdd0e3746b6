# SPDX-License-Identifier: Apache-2.0
"""From fields to voxels: Hounsfield units with partial volume and noise, and exact labels.

Shapes are painted in order, each covering what is under it by the fraction of the voxel that it fills; a voxel is about
as wide as the scanner's point spread. Thick slices are the mean of thinner ones. Labels are exact: the structure at the
voxel's center.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from threadpoolctl import threadpool_limits

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.labels import BACKGROUND, LIVER, TUMOR, VESSEL
from liver_seg_ros.phantom.fields import Field, Points, capsule, spline_matrix
from liver_seg_ros.phantom.vessel_graph import VesselGraph
from liver_seg_ros.progress import Progress

#: A slice thicker than this is rendered as the mean of several.
THINNEST_MM = 1.5
#: Distance fields are cut off this far outside a shape.
MARGIN_MM = 6.0


@dataclass(frozen=True, eq=False)
class Grid:
    """The grid that is painted: that of the result with each slice divided into `per_slice` thin ones.

    `x`, `y`, `z` are the LPS coordinates in mm of its columns, rows and thin slices.
    """

    x: Field
    y: Field
    z: Field
    per_slice: int

    @staticmethod
    def of(geometry: Geometry) -> Grid:
        """The grid of an axis-aligned geometry."""
        per_slice = int(np.ceil(geometry.spacing_mm[2] / THINNEST_MM))
        per_slice += 1 - per_slice % 2  # odd, so that one thin slice is the thick one's middle
        thin = geometry.spacing_mm[2] / per_slice
        (ox, oy, oz), (sx, sy, sz), (ni, nj, nk) = geometry.origin_mm, geometry.spacing_mm, geometry.size
        z = oz - sz / 2 + (np.arange(nk * per_slice) + 0.5) * thin
        return Grid(ox + sx * np.arange(ni), oy + sy * np.arange(nj), z, per_slice)

    def box(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> Box | None:
        """The voxels whose centers lie between two LPS corners; None where there are none."""
        bounds = zip((self.x, self.y, self.z), low, high, strict=True)
        inside = [np.flatnonzero((a >= p) & (a <= q)) for a, p, q in bounds]
        if any(n.size == 0 for n in inside):
            return None
        i, j, k = inside
        return Box((int(i[0]), int(j[0]), int(k[0])), (int(i[-1]) + 1, int(j[-1]) + 1, int(k[-1]) + 1))

    @property
    def points(self) -> Points:
        """All voxel centers, as arrays that broadcast to `(K, J, I)`."""
        x, y, z = (a.astype(np.float32) for a in (self.x, self.y, self.z))
        return Points(x[None, None, :], y[None, :, None], z[:, None, None])

    def crop(self, box: Box) -> Grid:
        """The part of the grid in `box`."""
        x, y, z = (a[p:q] for a, p, q in zip((self.x, self.y, self.z), box.start, box.stop, strict=True))
        return Grid(x, y, z, self.per_slice)


@dataclass(frozen=True, eq=False)
class Shape:
    """A field on the lattice and the Hounsfield units that it is painted with."""

    field: Field
    hu: float
    value: int | None = BACKGROUND  # in the map of what surrounds the liver; None: that of what it covers


@dataclass(frozen=True, eq=False)
class Inset:
    """A distance in mm known at the grid's own points in `box` only: `(K, J, I)` of the box."""

    box: Box
    distance: Field
    hu: tuple[tuple[float, float], ...]  # layers painted in order: (distance below which, HU)
    label: int  # the liver's where it is painted and not labelled
    texture: Field | None = None  # HU added inside, `(K, J, I)` of the box


@dataclass(frozen=True, eq=False)
class Scene:
    """All that is painted: lattice shapes, then the liver, then what lies in it.

    `start` and `step_mm` place the lattice: its value `[0, 0, 0]` is at `start` (LPS).
    """

    start: tuple[float, float, float]
    step_mm: float
    shapes: list[Shape]
    liver: Shape
    insets: list[Inset]
    texture: Field


def vessel_distance(grid: Grid, graph: VesselGraph) -> Field:
    """Distance in mm to the walls of a vessel tree at the grid's voxels, cut off at `MARGIN_MM`."""
    distance = np.full((len(grid.z), len(grid.y), len(grid.x)), MARGIN_MM, dtype=np.float32)
    for parent, node in graph.edges:
        a, b, radius = graph.points_mm[parent], graph.points_mm[node], float(graph.radius_mm[node])
        box = grid.box(np.minimum(a, b) - radius - 2.5, np.maximum(a, b) + radius + 2.5)
        if box is not None:
            part = distance[box.slices]
            np.minimum(part, capsule(grid.crop(box).points, a, b, radius, radius), out=part)
    return distance


def render(
    scene: Scene,
    grid: Grid,
    noise_hu: float,
    grain_px: float,
    seed: int,
    progress: Progress,
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Paint a scene on the grid.

    `noise_hu` is the noise's standard deviation in the result, `grain_px` the size of its grain. Returns HU and labels,
    both `(K, J, I)`.
    """
    painter = _Painter(scene, grid)
    per_slice = grid.per_slice
    count = len(grid.z) // per_slice
    hu = np.empty((count, len(grid.y), len(grid.x)), dtype=np.int16)
    labels = np.empty(hu.shape, dtype=np.uint8)

    def one(k: int) -> None:
        thin = [painter.paint(k * per_slice + n) for n in range(per_slice)]
        image = thin[0] if per_slice == 1 else np.mean(thin, axis=0)
        rng = np.random.default_rng((seed, k))
        grain = gaussian_filter(rng.standard_normal(image.shape, dtype=np.float32), grain_px, mode="wrap")
        image = image + grain * np.float32(noise_hu / max(float(grain.std()), 1e-6))
        hu[k] = np.clip(np.rint(image), -1024, 3071)
        labels[k] = painter.labels(k * per_slice + per_slice // 2)

    # The products per slice are small: threads of the BLAS would only wait for each other.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(one, range(count))):
            progress("render", (done + 1) / count)
    return hu, labels


def render_surroundings(scene: Scene, grid: Grid) -> NDArray[np.uint8]:
    """The value of the shape painted last over each voxel's center, `(K, J, I)`; the liver is not among them."""
    painter = _Painter(scene, grid)
    middles = range(grid.per_slice // 2, len(grid.z), grid.per_slice)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.stack(list(pool.map(painter.surroundings, middles)))


class _Painter:
    """Paints single thin slices; everything that does not depend on the slice is prepared once."""

    def __init__(self, scene: Scene, grid: Grid) -> None:
        self.scene = scene
        self.width = np.float32((grid.x[1] - grid.x[0]) * 1.3)
        self.shape = (len(grid.y), len(grid.x))
        lattice = scene.liver.field.shape
        axes = (grid.x, grid.y, grid.z)
        positions = [(a - s) / scene.step_mm for a, s in zip(axes, scene.start, strict=True)]
        self.wi = spline_matrix(positions[0], lattice[2])  # (I, Ic)
        self.wj = spline_matrix(positions[1], lattice[1])  # (J, Jc)
        self.wk = spline_matrix(positions[2], lattice[0])  # (K, Kc)
        self.windows = [self._window(shape.field) for shape in (*scene.shapes, scene.liver)]

    def _window(self, field: Field) -> tuple[slice, slice] | None:
        """Rows and columns of the grid that a shape can reach; None where it reaches none."""
        near = field < MARGIN_MM
        if not near.any():
            return None
        j, i = (np.flatnonzero(near.any(axis=axes)) for axes in ((0, 2), (0, 1)))
        rows = np.flatnonzero(self.wj[:, max(j[0] - 1, 0) : j[-1] + 2].sum(axis=1) > 0.5)
        columns = np.flatnonzero(self.wi[:, max(i[0] - 1, 0) : i[-1] + 2].sum(axis=1) > 0.5)
        if rows.size == 0 or columns.size == 0:
            return None
        return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)

    def _distance(self, field: Field, window: tuple[slice, slice], k: int) -> Field | None:
        """A shape's distance on thin slice `k` in its window; None where the slice is clear of it."""
        used = np.flatnonzero(self.wk[k])
        plane = np.tensordot(self.wk[k, used], field[used], axes=(0, 0))  # (Jc, Ic)
        if plane.min() > MARGIN_MM:
            return None
        return (self.wj[window[0]] @ plane) @ self.wi[window[1]].T

    def _insets(self, k: int) -> Iterator[tuple[Inset, int, tuple[slice, slice]]]:
        """What lies on thin slice `k`: the inset, its own slice there, and the rows and columns that it covers."""
        for inset in self.scene.insets:
            (i0, j0, k0), (i1, j1, k1) = inset.box.start, inset.box.stop
            if k0 <= k < k1:
                yield inset, k - k0, (slice(j0, j1), slice(i0, i1))

    def _cover(self, image: Field, distance: Field, hu: float, limit: Field | None = None) -> None:
        cover = np.clip(0.5 - distance / self.width, 0, 1)
        if limit is not None:
            cover = np.minimum(cover, limit)
        image += cover * (np.float32(hu) - image)

    def paint(self, k: int) -> Field:
        """Thin slice `k` in HU, without noise: `(J, I)` float32."""
        image = np.full(self.shape, -1000, dtype=np.float32)
        for shape, window in zip(self.scene.shapes, self.windows[:-1], strict=True):
            distance = self._distance(shape.field, window, k) if window else None
            if distance is not None:
                self._cover(image[window], distance, shape.hu)
        texture = (self.wj @ np.tensordot(self.wk[k], self.scene.texture, axes=(0, 0))) @ self.wi.T
        image += texture * (image > -300)
        window = self.windows[-1]
        distance = self._distance(self.scene.liver.field, window, k) if window else None
        if distance is None or window is None:
            return image
        liver = np.zeros(self.shape, dtype=np.float32)
        liver[window] = np.clip(0.5 - distance / self.width, 0, 1)
        part = image[window]
        part += liver[window] * (np.float32(self.scene.liver.hu) + texture[window] * 0.7 - part)
        for inset, own, where in self._insets(k):
            field = inset.distance[own]
            for below, hu in inset.hu:
                self._cover(image[where], field - np.float32(below), hu, liver[where])
            if inset.texture is not None:
                cover = np.minimum(np.clip(0.5 - field / self.width, 0, 1), liver[where])
                image[where] += cover * inset.texture[own]
        return image

    def labels(self, k: int) -> NDArray[np.uint8]:
        """The structure at the voxel centers of thin slice `k`: `(J, I)`."""
        labels = np.zeros(self.shape, dtype=np.uint8)
        window = self.windows[-1]
        distance = self._distance(self.scene.liver.field, window, k) if window else None
        if distance is None or window is None:
            return labels
        labels[window] = np.where(distance < 0, np.uint8(LIVER.value), np.uint8(0))
        for value in (VESSEL.value, TUMOR.value):  # a tumor displaces the vessels that run through it
            for inset, own, where in self._insets(k):
                if inset.label == value:
                    part = labels[where]
                    part[(inset.distance[own] < 0) & (part > 0)] = value
        return labels

    def surroundings(self, k: int) -> NDArray[np.uint8]:
        """The shapes' values at the voxel centers of thin slice `k`: `(J, I)`."""
        values = np.zeros(self.shape, dtype=np.uint8)
        for shape, window in zip(self.scene.shapes, self.windows[:-1], strict=True):
            if window is None or shape.value is None:
                continue
            distance = self._distance(shape.field, window, k)
            if distance is not None:
                values[window][distance < 0] = shape.value
        return values
