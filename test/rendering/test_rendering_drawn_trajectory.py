# SPDX-License-Identifier: Apache-2.0
"""Trajectories in the pictures: where they run, and the one that matters in a color of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.rendering.drawn_trajectory import DrawnTrajectory
from liver_seg_ros.rendering.overlay import NEEDLE, render_overlay
from liver_seg_ros.rendering.scene import render_scene
from liver_seg_ros.volume import LabelVolume, Volume

#: From the patient's right and from the left, the first one of more weight.
TRAJECTORIES = (
    DrawnTrajectory("best", (-90, 0, 0), (-10, 0, 0), 1.0),
    DrawnTrajectory("other", (90, 0, 0), (10, 0, 0), 1.0),
)


def test_the_scene_shows_the_first_path_in_another_color(ball: Callable[..., Mesh], tmp_path: Path) -> None:
    render_scene([ball(LIVER, (0, 0, 0), 30)], tmp_path / "scene.png", (600, 400), TRAJECTORIES)
    picture = np.asarray(Image.open(tmp_path / "scene.png").convert("RGB")).astype(int)[:330]
    orange = np.argwhere((picture[..., 0] - picture[..., 2] > 90) & (picture[..., 0] - picture[..., 1] > 60))
    assert len(orange) > 50
    assert orange[:, 1].max() < 300  # the patient's right is on the left
    assert np.ptp(orange[:, 1]) > 60 and orange[:, 1].min() > 3  # its whole length is in the picture


def test_the_overlay_goes_through_the_target_and_shows_the_way_to_it(tmp_path: Path) -> None:
    geometry = Geometry((60, 60, 60), (2.0, 2.0, 2.0), (-59, -59, -59))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[25:35, 25:35, 25:35] = LIVER.value
    case = Volume(np.zeros(geometry.shape, np.int16), geometry), LabelVolume(labels, geometry)
    path = DrawnTrajectory("best", (-50, -30, 0), (10, 20, 0), 1.0)
    render_overlay(*case, tmp_path / "overlay.png", [path])
    picture = np.asarray(Image.open(tmp_path / "overlay.png").convert("RGB")).astype(int)
    drawn = np.argwhere((np.abs(picture - NEEDLE) < 12).all(axis=2))
    axial = drawn[drawn[:, 1] < picture.shape[1] // 3]
    # 60 mm to the left and 50 mm to the back: down the picture to the right, at its scale.
    height, width = np.ptp(axial, axis=0)
    assert abs(height / width - 50 / 60) < 0.05
    assert np.corrcoef(axial[:, 0], axial[:, 1])[0, 1] > 0.99
