# SPDX-License-Identifier: Apache-2.0
"""Stacks of slices: outlines where the surfaces are, the CT below them at the same place, whatever its grid."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.html_slices import MOST_SLICES, OUTLINE_UNIT_MM, SliceStack, slice_stacks
from liver_seg_ros.volume import Volume, make_right_handed

Ball = Callable[..., Mesh]

#: LPS mm: to the patient's right, in front and above of a larger ball around zero.
CENTER, RADIUS = (-20.0, -12.0, 15.0), 8.0
#: The picture's axes in LPS: column, row, and their signs, as radiologists look at it.
LOOK = {"axial": (0, 1, 1, 1), "coronal": (0, 1, 2, -1), "sagittal": (1, 1, 2, -1)}
NORMAL = {"axial": 2, "coronal": 1, "sagittal": 0}


@pytest.fixture(scope="module")
def meshes(ball: Ball) -> tuple[Mesh, Mesh]:
    return ball(LIVER, (0, 0, 0), 40), ball(TUMOR, CENTER, RADIUS)


def corners(path: str) -> np.ndarray:
    """`(N, 2)` corners of all curves of an SVG path of `M x,y l dx,dy ... z`, in mm."""
    curves = [np.array(re.findall(r"-?\d+", curve), int).reshape(-1, 2).cumsum(axis=0) for curve in path.split("z")]
    return np.concatenate(curves) * OUTLINE_UNIT_MM


def in_picture(stack: SliceStack, point_mm: np.ndarray) -> np.ndarray:
    """Where an LPS point is in the picture, mm from its upper left corner."""
    column, column_sign, row, row_sign = LOOK[stack.view]
    low, high = stack.frame.low_mm, stack.frame.high_mm
    x = point_mm[column] - low[column] if column_sign > 0 else high[column] - point_mm[column]
    y = point_mm[row] - low[row] if row_sign > 0 else high[row] - point_mm[row]
    return np.array([x, y])


def test_outlines_are_the_circles_in_which_planes_cut_the_balls(meshes: tuple[Mesh, Mesh]) -> None:
    for stack in slice_stacks(meshes):
        height = np.array(stack.positions_mm)
        for mesh, center, radius in zip(meshes, [(0, 0, 0), CENTER], [40, RADIUS], strict=True):
            outlines = stack.outlines[mesh.structure.name]
            away = np.abs(height - center[NORMAL[stack.view]])
            for path, distance in zip(outlines, away, strict=True):
                if distance < radius - 0.5:
                    offset = corners(path) - in_picture(stack, np.array(center))
                    to_center = np.hypot(np.linalg.norm(offset, axis=1), distance)
                    assert to_center == pytest.approx(np.full(len(offset), radius), abs=0.3)
                elif distance > radius:
                    assert path == ""


def test_an_outline_is_as_many_closed_curves_as_the_plane_cuts(ball: Ball) -> None:
    two = ball(TUMOR, (-30, 0, 0), 10), ball(TUMOR, (30, 0, 0), 10)
    both = Mesh(
        TUMOR,
        np.concatenate([mesh.vertices_mm for mesh in two]),
        np.concatenate([two[0].triangles, two[1].triangles + len(two[0].vertices_mm)]),
        np.concatenate([mesh.normals for mesh in two]),
    )
    axial = slice_stacks([both])[0]
    middle = axial.outlines["tumor"][len(axial.positions_mm) // 2]
    assert middle.count("M") == middle.count("z") == 2


def grids() -> dict[str, Geometry]:
    turn = np.radians(20)
    oblique = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    plain = Geometry((80, 60, 40), (1.5, 2.0, 3.0), (-59.25, -59.0, -58.5))
    return {
        "LPS": plain,
        "RAS": plain.flip(0).flip(1),
        "permuted": plain.permute((2, 0, 1)),
        "oblique": Geometry((90, 90, 50), (1.5, 1.5, 2.5), tuple(np.array(oblique) @ (-67, -67, -61)), oblique),
    }


@pytest.mark.parametrize("name", grids())
def test_the_ct_lies_under_the_outlines(meshes: tuple[Mesh, Mesh], name: str) -> None:
    geometry = grids()[name]
    k, j, i = np.indices(geometry.shape)
    points = geometry.index_to_lps(np.stack([i, j, k], axis=-1))
    bright = np.linalg.norm(points - CENTER, axis=-1) < RADIUS
    array, geometry = make_right_handed(np.where(bright, 240, -160).astype(np.int16), geometry)
    for stack in slice_stacks(meshes, Volume(array, geometry)):
        assert len(stack.pictures) == len(stack.positions_mm)
        nearest = int(np.abs(np.array(stack.positions_mm) - CENTER[NORMAL[stack.view]]).argmin())
        picture = decode(stack.pictures[nearest])
        width_mm, height_mm = in_picture_size(stack)
        pixel_mm = width_mm / picture.shape[1]
        assert pixel_mm == pytest.approx(height_mm / picture.shape[0])
        y_x = (np.argwhere(picture > 128) + 0.5) * pixel_mm
        assert y_x.mean(axis=0)[::-1] == pytest.approx(in_picture(stack, np.array(CENTER)), abs=0.6)
        assert len(y_x) * pixel_mm**2 == pytest.approx(np.pi * RADIUS**2, rel=0.15)


def decode(uri: str) -> np.ndarray:
    head, _, body = uri.partition(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("L"))


def in_picture_size(stack: SliceStack) -> tuple[float, float]:
    column, _, row, _ = LOOK[stack.view]
    size = stack.frame.high_mm - stack.frame.low_mm
    return float(size[column]), float(size[row])


def test_pictures_have_room_for_trajectories_and_stay_inside_the_ct(meshes: tuple[Mesh, Mesh]) -> None:
    geometry = Geometry((50, 50, 50), (2.0, 2.0, 2.0), (-49, -49, -49))
    ct = Volume(np.zeros(geometry.shape, np.int16), geometry)
    frame = slice_stacks(meshes, ct)[0].frame
    assert frame.low_mm.min() >= -50 and frame.high_mm.max() <= 51  # whole pixels may reach a little beyond
    path = DrawnTrajectory("outside", (-90, 0, 0), CENTER, 1.0)
    assert slice_stacks(meshes, ct, [path])[0].frame.low_mm[0] == -90


def test_a_long_structure_gets_no_more_slices_than_a_page_can_hold(ball: Ball) -> None:
    long = ball(LIVER, (0, 0, 0), 400)
    assert all(MOST_SLICES / 2 < len(stack.positions_mm) <= MOST_SLICES for stack in slice_stacks([long]))


def test_a_small_lesion_gets_a_slice(ball: Ball) -> None:
    for stack in slice_stacks([ball(TUMOR, (3, 4, 5), 1.0)]):
        assert len(stack.positions_mm) >= 1 and any(stack.outlines["tumor"])


def test_nothing_to_show_is_refused() -> None:
    empty = Mesh(LIVER, np.empty((0, 3), np.float32), np.empty((0, 3), np.int32), np.empty((0, 3), np.float32))
    with pytest.raises(ValueError, match="at least one mesh"):
        slice_stacks([empty])
