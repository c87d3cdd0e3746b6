# SPDX-License-Identifier: Apache-2.0
"""The 3D picture: without a display, every structure visible, the right way round."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from liver_seg_ros.labels import LIVER, TUMOR, VESSEL, Structure
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.rendering.picture import draw_legend_entry
from liver_seg_ros.rendering.scene import render_scene

SIZE = (400, 300)


def sphere(structure: Structure, center_mm, radius_mm: float) -> Mesh:
    """A closed outward sphere of latitudes and longitudes."""
    import pyvista as pv

    made = pv.Sphere(radius=radius_mm, center=center_mm, theta_resolution=40, phi_resolution=40)
    vertices = np.asarray(made.points, np.float32)
    normals = (vertices - np.array(center_mm, np.float32)) / np.float32(radius_mm)
    return Mesh(structure, vertices, made.faces.reshape(-1, 4)[:, 1:].astype(np.int32), normals)


def drawn(path) -> np.ndarray:
    """The picture as int, without the legend and the hint at its bottom."""
    return np.asarray(Image.open(path)).astype(int)[:220]


def greenish(picture):
    return (picture[..., 1] - picture[..., 0] > 25) & (picture[..., 1] - picture[..., 2] > 25)


def bluish(picture):
    return picture[..., 2] - picture[..., 0] > 60


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    # The patient's right is at negative x, the head at positive z.
    meshes = [
        sphere(LIVER, (0, 0, 0), 50),
        sphere(TUMOR, (-22, 0, 15), 10),
        sphere(VESSEL, (22, 0, 0), 8),
    ]
    render_scene(meshes, path, SIZE)
    return path


def test_what_lies_inside_the_translucent_liver_is_seen_the_right_way_round(scene):
    picture = drawn(scene)
    green, blue = np.argwhere(greenish(picture)), np.argwhere(bluish(picture))
    assert len(green) > 200 and len(blue) > 200
    assert green[:, 1].mean() < blue[:, 1].mean() - 50  # the patient's right is on the left
    assert green[:, 0].mean() < blue[:, 0].mean() - 10  # the head is up


def test_the_liver_is_there_and_fits_into_the_picture(scene):
    picture = np.asarray(Image.open(scene)).astype(int)
    assert picture.shape == (300, 400, 3)
    reddish = picture[..., 0] - picture[..., 2] > 12
    reddish[230:, :120] = False  # the legend
    rows, columns = np.nonzero(reddish)
    assert np.ptp(rows) > 200
    assert np.ptp(columns) == pytest.approx(np.ptp(rows), abs=25)
    assert rows.min() > 3 and rows.max() < 297


def test_no_meshes_are_refused(tmp_path):
    empty = Mesh(LIVER, np.empty((0, 3), np.float32), np.empty((0, 3), np.int32), np.empty((0, 3), np.float32))
    for meshes in ([], [empty]):
        with pytest.raises(ValueError, match="at least one mesh"):
            render_scene(meshes, tmp_path / "scene.png")
    assert not list(tmp_path.iterdir())


def test_a_process_without_a_display_renders_and_says_nothing(tmp_path):
    script = (
        "import numpy as np; from liver_seg_ros.labels import LIVER; from liver_seg_ros.mesh import Mesh;"
        "from liver_seg_ros.rendering.scene import render_scene;"
        "v=np.array([[0,0,0],[1,0,0],[0,1,0],[0,0,1]],np.float32);"
        "t=np.array([[0,2,1],[0,1,3],[1,2,3],[0,3,2]],np.int32);"
        "n=(v-0.25)/np.linalg.norm(v-0.25,axis=1,keepdims=True);"
        f"render_scene([Mesh(LIVER,v,t,n)],{str(tmp_path / 'scene.png')!r},(160,120))"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert Image.open(tmp_path / "scene.png").size == (160, 120)


def test_a_legend_names_structures_as_people_write_them() -> None:
    pictures = []
    for name in ("portal_vein", "portal vein"):
        picture = Image.new("RGB", (200, 30), "white")
        draw_legend_entry(picture, replace(LIVER, name=name), (5, 15), (0, 0, 0), 20)
        pictures.append(picture.tobytes())
    assert pictures[0] == pictures[1]
