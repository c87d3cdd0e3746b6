# SPDX-License-Identifier: Apache-2.0
"""Lesions are the paler, the less sure the network is of them; each vertex by its own lesion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from liver_seg_ros.labels import LIVER, TUMOR
from liver_seg_ros.measurement import PartMeasurement
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.rendering.html_scene import scene_figure
from liver_seg_ros.rendering.lesion_colors import PALE_RGB, vertex_colors

SURFACE = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float32)
SIDES = np.array([[a, b, c] for a in (0, 1) for b in (2, 3) for c in (4, 5)])
#: Center, radius in mm and confidence; a vertex of the large one is nearer to the small one's center than to its own.
LESIONS = [((0.0, 0.0, 0.0), 20.0, 0.9), ((26.0, 0.0, 0.0), 5.0, 0.25), ((0.0, 60.0, 0.0), 8.0, None)]


def parts() -> list[PartMeasurement]:
    return [PartMeasurement(4 / 3 * np.pi * r**3 / 1e3, 2 * r, at, confidence=sure) for at, r, sure in LESIONS]


def test_each_vertex_has_the_color_of_its_lesion() -> None:
    rgb = np.array(TUMOR.color_rgb)
    vertices = np.concatenate([np.array(at) + r * SURFACE for at, r, _ in LESIONS]).astype(np.float32)
    found = vertex_colors(vertices, parts(), TUMOR.color_rgb)
    assert found is not None
    for number, (_, _, sure) in enumerate(LESIONS):
        share = 1.0 if sure is None else sure
        expected = share * rgb + (1 - share) * np.array(PALE_RGB)
        assert np.abs(found[6 * number : 6 * number + 6] - expected).max() <= 0.5
    unknown = [replace(part, confidence=None) for part in parts()]
    assert vertex_colors(vertices, unknown, TUMOR.color_rgb) is None


def test_the_scene_has_them_on_the_tumor_alone() -> None:
    meshes = [Mesh(structure, 20 * SURFACE, SIDES.astype(np.int32), SURFACE) for structure in (LIVER, TUMOR)]
    traces = {trace.name: trace for trace in scene_figure(meshes, lesions=parts()[:1]).data}
    pale = "rgb({}, {}, {})".format(*np.rint(0.9 * np.array(TUMOR.color_rgb) + 0.1 * np.array(PALE_RGB)).astype(int))
    assert list(traces[TUMOR.title].vertexcolor) == [pale] * 6 and traces[LIVER.title].vertexcolor is None
    assert all(trace.vertexcolor is None for trace in scene_figure(meshes).data[:2])
