# SPDX-License-Identifier: Apache-2.0
"""Stacks of slices for a page that scrolls through them: pictures of the CT, outlines of the surfaces over them.

The CT is sampled once on a raster along the patient's axes; each slice of each view is a plane of it. Outlines are
where the planes cut the meshes, and so show whether what is planned with lies where the CT says; as vectors they stay
sharp on any screen.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pyvista as pv
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import affine_transform

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.progress import Done, not_told
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.sampling import WINDOW_HU
from liver_seg_ros.rendering.slices import AXES, EDGE_LETTERS, Extent, View, normal_axis
from liver_seg_ros.volume import Volume

#: What is shown around the structures and trajectories.
MARGIN_MM = 15.0
#: Longest side of a picture, and the finest pixel worth its bytes.
PICTURE_PX = 512
PIXEL_MM = 0.8
#: Distance of slices, wider where a view would have more than so many.
STEP_MM = 2.0
MOST_SLICES = 120

WEBP_QUALITY = 75
#: Outlines are written in whole units of this.
OUTLINE_UNIT_MM = 0.1


@dataclass(frozen=True)
class SliceStack:
    """The slices of one view, from the lowest LPS coordinate to the highest.

    Attributes:
        view: which way they lie.
        frame: the LPS box that they show.
        positions_mm: `N` coordinates along the view's normal.
        pictures: `N` data URIs of WebP pictures; none without a CT.
        outlines: per structure name, `N` SVG paths in `OUTLINE_UNIT_MM` from the picture's upper left corner.
    """

    view: View
    frame: Extent
    positions_mm: tuple[float, ...]
    pictures: tuple[str, ...]
    outlines: dict[str, tuple[str, ...]]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as the page's script reads them."""
        columns, rows = AXES[self.view]
        return {
            "view": self.view,
            "columns": columns,
            "rows": rows,
            "normal": normal_axis(self.view),
            "letters": EDGE_LETTERS[self.view],
            "low_mm": [round(float(mm), 3) for mm in self.frame.low_mm],
            "high_mm": [round(float(mm), 3) for mm in self.frame.high_mm],
            "unit_mm": OUTLINE_UNIT_MM,
            "positions_mm": [round(mm, 2) for mm in self.positions_mm],
            "pictures": self.pictures,
            "outlines": self.outlines,
        }


def slice_stacks(
    meshes: Sequence[Mesh],
    ct: Volume | None = None,
    trajectories: Iterable[DrawnTrajectory] = (),
    done: Done = not_told,
) -> tuple[SliceStack, ...]:
    """One stack per view, through all structures.

    Args:
        meshes: whose outlines are drawn; at least one with triangles.
        ct: what is seen under them; nothing where None.
        trajectories: what the pictures also have to have room for.
        done: is told how many of the pictures there are, and after each view that its outlines are there too.

    Raises:
        InputError: no mesh has a triangle.
    """
    vertices = [mesh.vertices_mm for mesh in meshes if len(mesh.triangles)]
    if not vertices:
        raise InputError("slices need at least one mesh with triangles")
    structures = Extent(np.min([v.min(axis=0) for v in vertices], axis=0), np.max([v.max(axis=0) for v in vertices], 0))
    frame, pixel_mm = _frame(structures, ct, trajectories)
    gray = None if ct is None else _sample_frame(ct, frame, pixel_mm)
    stacks: list[SliceStack] = []
    views: tuple[View, ...] = get_args(View)
    for view in views:
        axis = normal_axis(view)
        planes = _planes(structures, frame, axis, pixel_mm)
        positions_mm = frame.low_mm[axis] + (planes + 0.5) * pixel_mm
        pictures: list[str] = []
        if gray is not None:
            for plane in planes:
                pictures.append(_picture(gray, view, int(plane)))
                done((len(stacks) + len(pictures) / (len(planes) + 1)) / len(views))
        outlines = {mesh.structure.name: _outlines(mesh, view, positions_mm, frame) for mesh in meshes}
        stacks.append(SliceStack(view, frame, tuple(positions_mm.tolist()), tuple(pictures), outlines))
        done(len(stacks) / len(views))
    return tuple(stacks)


def _frame(structures: Extent, ct: Volume | None, trajectories: Iterable[DrawnTrajectory]) -> tuple[Extent, float]:
    """The box to show, whole pixels along each axis, and the size of a pixel."""
    ends = [end for drawn in trajectories for end in (drawn.entry_mm, drawn.target_mm)]
    points = np.array([structures.low_mm, structures.high_mm, *ends], dtype=float)
    least_low, least_high = points.min(axis=0), points.max(axis=0)
    low, high = least_low - MARGIN_MM, least_high + MARGIN_MM
    if ct is not None:  # nothing is to be seen beyond it
        whole = Extent.of(ct.geometry)
        low = np.minimum(np.maximum(low, whole.low_mm), least_low)
        high = np.maximum(np.minimum(high, whole.high_mm), least_high)
    pixel_mm = max(PIXEL_MM, float((high - low).max()) / PICTURE_PX)
    pixels = np.maximum(1, np.ceil((high - low) / pixel_mm - 1e-9))
    return Extent(low, low + pixels * pixel_mm), pixel_mm


def _sample_frame(ct: Volume, frame: Extent, pixel_mm: float) -> NDArray[np.uint8]:
    """`(Z, Y, X)` the CT in the abdominal window along LPS, black outside of it."""
    shape = tuple(np.round((frame.high_mm - frame.low_mm) / pixel_mm).astype(int)[::-1])
    corners = np.array(np.meshgrid(*zip(frame.low_mm, frame.high_mm, strict=True))).reshape(3, -1).T
    index = ct.geometry.lps_to_index(corners)
    last = np.array(ct.geometry.size) - 1
    start = np.clip(np.floor(index.min(axis=0)), 0, last).astype(int)
    stop = np.clip(np.ceil(index.max(axis=0)), 0, last).astype(int) + 1
    ct = ct.crop(Box(tuple(start.tolist()), tuple(stop.tolist())))

    low, high = WINDOW_HU
    gray = np.empty(ct.array.shape, np.uint8)
    for hu, plane in zip(ct.array, gray, strict=True):  # slice by slice: floats take four times the memory
        plane[:] = np.round((hu.clip(low, high) - low) * (255 / (high - low)))
    # The voxel `(k, j, i)` at pixel `(z, y, x)` of the raster.
    pixels_xyz = np.concatenate([np.zeros((1, 3)), np.eye(3)[::-1]])
    at_zero, *steps = ct.geometry.lps_to_index(frame.low_mm + (pixels_xyz + 0.5) * pixel_mm)[:, ::-1]
    return affine_transform(
        gray, np.transpose(steps - at_zero), at_zero, shape, order=1, mode="grid-constant", cval=0, output=np.uint8
    )


def _planes(structures: Extent, frame: Extent, axis: int, pixel_mm: float) -> NDArray[np.intp]:
    """Which planes of the raster become slices: evenly spread over the structures, one at least."""
    first, last = (
        int((border[axis] - frame.low_mm[axis]) / pixel_mm) for border in (structures.low_mm, structures.high_mm)
    )
    most = round((frame.high_mm[axis] - frame.low_mm[axis]) / pixel_mm) - 1
    first, last = min(first, most), min(last, most)
    step = max(1, round(STEP_MM / pixel_mm), -(-(last - first + 1) // MOST_SLICES))
    return np.arange(first + (last - first) % step // 2, last + 1, step)


def _picture(gray: NDArray[np.uint8], view: View, plane: int) -> str:
    """A plane of the raster as a data URI."""
    (_, column_sign), (_, row_sign) = AXES[view]
    pixels = np.take(gray, plane, axis=2 - normal_axis(view))[::row_sign, ::column_sign]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=WEBP_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _outlines(mesh: Mesh, view: View, positions_mm: NDArray[np.float64], frame: Extent) -> tuple[str, ...]:
    """Per position the closed curves in which that plane cuts the mesh, as one SVG path; empty where it does not."""
    paths = [""] * len(positions_mm)
    if len(mesh.triangles) == 0:
        return tuple(paths)
    faces = np.column_stack([np.full(len(mesh.triangles), 3, np.int32), mesh.triangles])
    height_mm = mesh.vertices_mm[:, normal_axis(view)].astype(np.float64)
    surface = pv.PolyData(mesh.vertices_mm, faces.reshape(-1))
    surface.point_data["height_mm"] = height_mm
    cut = surface.contour(positions_mm.tolist(), scalars="height_mm").strip(join=True)
    if cut.n_points == 0:
        return tuple(paths)
    points = np.asarray(cut.points, np.float64)
    pixels = np.round(np.stack(frame.in_picture(view, points), axis=1) / OUTLINE_UNIT_MM).astype(int)
    between_mm = (positions_mm[1:] + positions_mm[:-1]) / 2
    which = np.searchsorted(between_mm, points[:, normal_axis(view)])
    lines = np.asarray(cut.lines)
    at = 0
    while at < len(lines):
        corners = lines[at + 1 : at + 1 + lines[at]]
        at += 1 + lines[at]
        paths[which[corners[0]]] += _svg_path(pixels[corners])
    return tuple(paths)


def _svg_path(corners: NDArray[np.int_]) -> str:
    """A closed curve with relative coordinates, which are short; corners that fall together are written once."""
    steps = np.diff(corners, axis=0)
    steps = steps[steps.any(axis=1)]
    if len(steps) < 2:
        return ""
    return f"M{corners[0][0]},{corners[0][1]}l" + " ".join(f"{x},{y}" for x, y in steps[:-1].tolist()) + "z"
