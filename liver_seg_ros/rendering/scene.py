# SPDX-License-Identifier: Apache-2.0
"""A shaded picture of the surfaces: what lies inside a translucent liver.

Rendered off screen. VTK takes EGL or OSMesa by itself where there is no display. The translucency is put into the
vertex colors and only front faces are drawn: depth peeling, the usual way, makes the organ vanish on such machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyvista as pv
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from liver_seg_ros.errors import InputError
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.rendering.drawn_trajectory import CHOSEN_RGB, OTHER_RGB, DrawnTrajectory
from liver_seg_ros.rendering.picture import Rgb, draw_legend_entry, font, save_png

#: From the focus to the camera, LPS: in front of the patient, a little to the right and above.
VIEW = np.array([-0.32, -1.0, 0.22]) / np.linalg.norm([-0.32, -1.0, 0.22])
SUPERIOR = np.array([0.0, 0.0, 1.0])
VIEW_ANGLE_DEG = 24.0

INK: Rgb = (60, 66, 74)
BACKGROUND_TOP, BACKGROUND_BOTTOM = "#ffffff", "#e3e8ee"

#: Patient axes, LPS, that the orientation hint shows.
AXES = (("L", (1.0, 0.0, 0.0)), ("A", (0.0, -1.0, 0.0)), ("S", (0.0, 0.0, 1.0)))


#: Needles are drawn no thinner than this, or they would not be seen: the one that matters most, and all others.
CHOSEN_RADIUS_MM, OTHER_RADIUS_MM = 1.2, 0.4


def render_scene(
    meshes: Iterable[Mesh],
    path: str | Path,
    size: tuple[int, int] = (1280, 960),
    trajectories: Sequence[DrawnTrajectory] = (),
) -> None:
    """Write a PNG of `size` (width, height) in pixels, seen from the patient's front, head up.

    `trajectories` are drawn inside, the first of them in a color of its own.

    Raises:
        InputError: no meshes, or nothing in them.
        InputError: the file cannot be written.
    """
    meshes = [mesh for mesh in meshes if len(mesh.triangles)]
    if not meshes:
        raise InputError("a scene needs at least one mesh with triangles")
    picture = Image.fromarray(_render(meshes, size, trajectories))
    unit = size[1] // 40
    for row, mesh in enumerate(reversed(meshes), start=1):
        draw_legend_entry(picture, mesh.structure, (2 * unit, size[1] - unit * (0.3 + 1.7 * row)), INK, unit)
    _draw_axes(picture, (size[0] - 4 * unit, size[1] - 4 * unit), 2.4 * unit)
    save_png(picture, path)


def _render(meshes: list[Mesh], size: tuple[int, int], trajectories: Sequence[DrawnTrajectory]) -> NDArray[np.uint8]:
    """`(height, width, 3)` uint8."""
    ends_mm = [end for drawn in trajectories for end in (drawn.entry_mm, drawn.target_mm)]
    ends = np.array(ends_mm, np.float32).reshape(-1, 3)
    vertices = np.concatenate([*(mesh.vertices_mm for mesh in meshes), ends])
    camera, focus = _camera(vertices, size)
    # Without a display VTK first complains about it and then goes on with EGL or OSMesa.
    with pv.vtk_verbosity("off"):
        plotter = pv.Plotter(off_screen=True, window_size=list(size), lighting="none")
        try:
            plotter.set_background(BACKGROUND_BOTTOM, top=BACKGROUND_TOP)  # type: ignore[arg-type]
            for light in _lights(focus, camera):
                plotter.add_light(light)
            # What is opaque first: the translucent organ is blended over it.
            for number, trajectory in enumerate(trajectories):
                _add_trajectory(plotter, trajectory, is_chosen=number == 0)
            for mesh in sorted(meshes, key=lambda mesh: -mesh.structure.opacity):
                _add(plotter, mesh, camera)
            plotter.camera_position = [tuple(camera), tuple(focus), tuple(SUPERIOR)]
            plotter.camera.view_angle = VIEW_ANGLE_DEG
            plotter.reset_camera_clipping_range()
            plotter.enable_anti_aliasing("ssaa")
            return np.asarray(plotter.screenshot(None, return_img=True))[..., :3]
        finally:
            plotter.close()


def _camera(vertices_mm: NDArray[np.float32], size: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the camera stands and looks, LPS mm, so that all vertices are in the picture with some air around."""
    right = np.cross(SUPERIOR, VIEW)
    right /= np.linalg.norm(right)
    frame = np.stack([right, np.cross(VIEW, right), VIEW])  # (3, 3): rows right, up, towards the camera
    seen = vertices_mm.astype(np.float64) @ frame.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    width, height, depth = np.maximum(high - low, 1.0)
    half_angle = np.tan(np.radians(VIEW_ANGLE_DEG / 2))
    distance = 1.12 * max(height, width * size[1] / size[0]) / 2 / half_angle + depth / 2
    focus = (low + high) / 2 @ frame
    return focus + VIEW * distance, focus


def _add(plotter: pv.Plotter, mesh: Mesh, camera: NDArray[np.float64]) -> None:
    faces = np.column_stack([np.full(len(mesh.triangles), 3, np.int32), mesh.triangles])
    surface = pv.PolyData(mesh.vertices_mm, faces.reshape(-1))
    surface.point_data.active_normals = mesh.normals  # type: ignore[assignment]
    opacity = mesh.structure.opacity
    if opacity < 1:
        # Like glass: clear where it faces the camera, denser towards its outline, which so stays readable.
        sight = camera - mesh.vertices_mm
        sight /= np.linalg.norm(sight, axis=1, keepdims=True)
        facing = np.abs(np.einsum("vi,vi->v", sight, mesh.normals))
        alpha = opacity * (0.8 + 2.0 * (1 - facing) ** 2)
    else:
        alpha = np.ones(len(mesh.vertices_mm))
    rgba = np.empty((len(alpha), 4), np.uint8)
    rgba[:, :3] = mesh.structure.color_rgb
    rgba[:, 3] = np.round(255 * alpha.clip(0, 1))
    surface.point_data["color"] = rgba
    plotter.add_mesh(
        surface, scalars="color", rgba=True, smooth_shading=True, ambient=0.18, diffuse=0.85, specular=0.35,
        specular_power=30, culling="back" if opacity < 1 else False,
    )  # fmt: skip


def _add_trajectory(plotter: pv.Plotter, trajectory: DrawnTrajectory, is_chosen: bool) -> None:
    least_mm, color = (CHOSEN_RADIUS_MM, CHOSEN_RGB) if is_chosen else (OTHER_RADIUS_MM, OTHER_RGB)
    along = np.subtract(trajectory.target_mm, trajectory.entry_mm)
    needle = pv.Cylinder(
        center=np.add(trajectory.target_mm, trajectory.entry_mm) / 2, direction=along,
        radius=max(trajectory.radius_mm, least_mm) if is_chosen else least_mm, height=float(np.linalg.norm(along)),
    )  # fmt: skip
    plotter.add_mesh(needle, color=color)


def _lights(focus: NDArray[np.float64], camera: NDArray[np.float64]) -> list[pv.Light]:
    """A key light from above the camera's left shoulder, a weak one from its right, one from behind for the edges."""
    distance = float(np.linalg.norm(camera - focus))
    right = np.cross(SUPERIOR, VIEW)
    positions = {0.85: VIEW - 0.7 * right + 0.8 * SUPERIOR, 0.35: VIEW + 1.2 * right, 0.25: -VIEW + SUPERIOR}
    return [
        pv.Light(position=tuple(focus + distance * at), focal_point=tuple(focus), intensity=strength)
        for strength, at in positions.items()
    ]


def _draw_axes(picture: Image.Image, center_px: tuple[float, float], length_px: float) -> None:
    """Three arrows towards the patient's left, front and head, as the camera sees them."""
    right = np.cross(SUPERIOR, VIEW)
    right /= np.linalg.norm(right)
    up = np.cross(VIEW, right)
    draw = ImageDraw.Draw(picture)
    center = np.array(center_px)
    for letter, axis in sorted(AXES, key=lambda axis: float(np.dot(axis[1], VIEW))):
        tip = center + length_px * np.array([np.dot(axis, right), -np.dot(axis, up)])
        label = center + 1.35 * (tip - center)
        draw.line([tuple(center), tuple(tip)], INK, max(2, round(length_px / 18)))
        draw.text(tuple(label), letter, INK, font(round(length_px * 0.38)), anchor="mm")
