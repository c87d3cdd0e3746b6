# SPDX-License-Identifier: Apache-2.0
"""The 3D scene of the page: every structure and trajectory as a trace of its own, light enough to turn."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.html_scene import DISPLAY_TRIANGLES, TRAJECTORIES, TREE, scene_figure
from liver_seg_ros.vessel_tree import Branch, VesselTree

Ball = Callable[..., Mesh]


def test_every_structure_is_a_trace_in_its_color_and_opacity(ball: Ball) -> None:
    figure = scene_figure([ball(LIVER, (0, 0, 0), 50), ball(TUMOR, (9, 0, 0), 5)])
    surfaces = {trace.meta["layer"]: trace for trace in figure.data if trace.type == "mesh3d"}
    assert set(surfaces) == {"liver", "tumor"}
    assert surfaces["liver"].color == "rgb(221, 130, 101)" and surfaces["liver"].opacity == LIVER.opacity
    assert np.mean(surfaces["tumor"].x) == pytest.approx(9, abs=0.1)


def test_what_is_opaque_is_drawn_before_what_is_seen_through(ball: Ball) -> None:
    figure = scene_figure([ball(LIVER, (0, 0, 0), 50), ball(TUMOR, (9, 0, 0), 5)])
    assert [trace.name for trace in figure.data if trace.type == "mesh3d"] == ["tumor", "liver"]


def test_trajectories_run_from_entry_to_target_and_are_numbered(ball: Ball) -> None:
    trajectories = [DrawnTrajectory(f"trajectory {n}", (-90.0 - n, 0, 0), (1, 2, 3), 0.8) for n in range(3)]
    lines = [
        t for t in scene_figure([ball(LIVER, (0, 0, 0), 50)], trajectories).data if t.meta["layer"] == TRAJECTORIES
    ]
    assert [line.meta["trajectory"] for line in lines] == [0, 1, 2]
    assert np.transpose([lines[2].x, lines[2].y, lines[2].z]).tolist() == [[-92, 0, 0], [1, 2, 3]]


def test_centerlines_are_one_trace_hidden_at_first(ball: Ball) -> None:
    trunk = Branch(0, -1, 0, 0, VESSEL, 20.0, 3.0)
    points = np.array([[0, 0, 0], [0, 0, 10], [0, 0, 20.0]])
    tree = VesselTree(points, np.full(3, 3.0), np.array([-1, 0, 1]), np.zeros(3, np.int64), (trunk,))
    (line,) = [t for t in scene_figure([ball(LIVER, (0, 0, 0), 50)], (), tree).data if t.meta["layer"] == TREE]
    assert line.visible is False
    assert np.array(line.z)[[0, 1, 3, 4]].tolist() == [0, 10, 10, 20] and np.isnan(line.z[2])


def test_a_heavy_mesh_is_made_lighter_and_stays_where_it_is() -> None:
    n = 260
    x, y = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    vertices = np.stack([x, y, np.sin(x / 30) * 9], axis=-1).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).reshape(-1)
    triangles = np.concatenate([corner[:, None] + [0, n, 1], corner[:, None] + [1, n, n + 1]]).astype(np.int32)
    mesh = Mesh(LIVER, vertices, triangles, np.zeros_like(vertices))
    (surface,) = [t for t in scene_figure([mesh]).data if t.type == "mesh3d"]
    assert len(triangles) > 3 * DISPLAY_TRIANGLES and len(surface.i) <= DISPLAY_TRIANGLES
    assert np.array(surface.z) == pytest.approx(np.sin(np.array(surface.x) / 30) * 9, abs=0.2)


def test_the_figure_is_json_of_compact_arrays(ball: Ball) -> None:
    mesh = ball(LIVER, (0, 0, 0), 50)
    text = scene_figure([mesh]).to_json()
    trace = json.loads(text)["data"][0]
    assert trace["x"]["dtype"] == "f4" and len(text) < 60 * len(mesh.vertices_mm)


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one mesh"):
        scene_figure([])
