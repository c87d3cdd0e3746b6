# SPDX-License-Identifier: Apache-2.0
"""What the tests of pictures share: a ball."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from liver_seg_ros.geometry import Vector
from liver_seg_ros.labels import Structure
from liver_seg_ros.mesh import Mesh


@pytest.fixture(scope="session")
def ball() -> Callable[[Structure, Vector, float], Mesh]:
    """Makes a closed outward sphere of a structure, center and radius in LPS mm."""
    import pyvista as pv

    def make(structure: Structure, center_mm: Vector, radius_mm: float) -> Mesh:
        made = pv.Sphere(radius=radius_mm, center=center_mm, theta_resolution=40, phi_resolution=40)
        vertices = np.asarray(made.points, np.float32)
        normals = (vertices - np.array(center_mm, np.float32)) / np.float32(radius_mm)
        return Mesh(structure, vertices, made.faces.reshape(-1, 4)[:, 1:].astype(np.int32), normals)

    return make
