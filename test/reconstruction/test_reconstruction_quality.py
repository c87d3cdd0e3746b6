# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a mesh, and that it is said in words."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from liver_seg_ros.labels import PORTAL_VEIN
from liver_seg_ros.measurement import MeshQuality
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.reconstruction import pipeline
from liver_seg_ros.reconstruction.meshes.quality import mesh_quality

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
SOUND = MeshQuality(4, True, True, True, 0)


def tetrahedron(triangles: np.ndarray = TRIANGLES) -> Mesh:
    return Mesh(PORTAL_VEIN, CORNERS, triangles, np.zeros_like(CORNERS))


@pytest.mark.parametrize(
    ("triangles", "quality", "said"),
    [
        (TRIANGLES, SOUND, ""),
        (TRIANGLES[:3], MeshQuality(3, False, False, True, 0), "it is not closed"),
        (TRIANGLES[:, ::-1], replace(SOUND, outward=False), "a part of it is inside out"),
    ],
)
def test_defects_are_found_and_said(triangles: np.ndarray, quality: MeshQuality, said: str) -> None:
    found = mesh_quality(tetrahedron(triangles))
    assert (found, found.defects, found.is_sound) == (quality, said, not said)


def test_every_defect_is_said() -> None:
    several = MeshQuality(9, True, False, False, 2)
    assert several.defects == (
        "parts of it meet in single points, a part of it is inside out, "
        "2 pairs of its 9 triangles go through each other"
    )
    assert not replace(SOUND, self_intersections=1).is_sound and not replace(SOUND, manifold=False).is_sound


def test_the_warning_is_in_words_and_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        pipeline._checked(tetrahedron(TRIANGLES[:3]), "mesh")
        pipeline._checked(tetrahedron(), "mesh")
    assert [record.getMessage() for record in caplog.records] == [
        "mesh of portal vein: it is not closed. Do not trust volumes and collisions there; raise the triangle budget, "
        "or smooth the labels"
    ]
