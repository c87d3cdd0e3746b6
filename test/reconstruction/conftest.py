# SPDX-License-Identifier: Apache-2.0
"""Label volumes of known shape on any grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.volume import LabelVolume

Shape = Callable[[NDArray[np.float64]], NDArray[np.bool_]]


@pytest.fixture(scope="session")
def painted() -> Callable[..., LabelVolume]:
    """`painted(geometry, (value, shape), ...)`: voxels whose LPS center `shape` says are inside; later ones on top."""

    def paint(geometry: Geometry, *layers: tuple[int, Shape]) -> LabelVolume:
        k, j, i = np.indices(geometry.shape)
        points = geometry.index_to_lps(np.stack([i, j, k], axis=-1))  # (K, J, I, 3)
        array = np.zeros(geometry.shape, np.uint8)
        for value, shape in layers:
            array[shape(points)] = value
        return LabelVolume(array, geometry)

    return paint


@pytest.fixture(scope="session")
def oblique() -> Geometry:
    """An oblique, anisotropic grid far from the origin; `index_to_lps((32, 32, 20))` is near its middle."""
    a, b = np.radians(25), np.radians(-15)
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return Geometry((64, 64, 40), (1.0, 1.1, 1.7), (120.0, -80.0, 900.0), (turn_z @ turn_x).tolist())
