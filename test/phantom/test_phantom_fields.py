# SPDX-License-Identifier: Apache-2.0
"""The implicit shapes and the spline sampling that phantoms are made of."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liver_seg_ros.phantom.fields import (
    Points,
    capsule,
    sample_lattice,
    smooth_union,
    spline_matrix,
    subtract,
    superellipsoid,
    tube,
)


def lattice(half: int = 20, step: float = 1.0) -> Points:
    axis = np.arange(-half, half + 1, dtype=np.float32) * np.float32(step)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return Points(x, y, z)


@given(st.integers(4, 30), st.floats(-3, 40), st.floats(-5, 5), st.floats(-10, 10))
def test_spline_keeps_straight_lines(count: int, position: float, slope: float, offset: float) -> None:
    """Cubic B-splines reproduce a linear field exactly away from the ends, and constants everywhere."""
    weights = spline_matrix([position], count)
    assert np.isclose(weights.sum(), 1.0, atol=1e-5)
    if 1 <= position <= count - 2:
        line = slope * np.arange(count) + offset
        assert np.isclose(float((weights @ line)[0]), slope * position + offset, atol=1e-3)


def test_lattice_is_sampled_in_array_order() -> None:
    field = np.zeros((6, 7, 8), dtype=np.float32) + np.arange(8, dtype=np.float32)  # grows along i
    k, j, i = (spline_matrix([2.0, 3.0], n) for n in field.shape)
    assert np.allclose(sample_lattice(field, k, j, i), np.broadcast_to([2.0, 3.0], (2, 2, 2)), atol=1e-4)


@settings(max_examples=20)
@given(st.floats(2, 12), st.tuples(*[st.floats(-5, 5)] * 3))
def test_sphere_is_an_exact_distance(radius: float, center: tuple[float, float, float]) -> None:
    points = lattice()
    expected = np.sqrt((points.x - center[0]) ** 2 + (points.y - center[1]) ** 2 + (points.z - center[2]) ** 2) - radius
    found = superellipsoid(points, center, (radius,) * 3)
    near = expected < 8
    assert np.abs(found - expected)[near].max() < 1e-2
    assert (found[~near] > 0).all()


def test_center_of_an_ellipsoid_is_inside() -> None:
    found = superellipsoid(lattice(), (0, 0, 0), (3, 5, 7))
    assert found[20, 20, 20] < -2.9


def test_rotated_ellipsoid_has_its_volume_and_axis() -> None:
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    inside = superellipsoid(lattice(), (0.3, 0.2, 0.1), (12, 6, 4), 2.0, turn) < 0
    assert np.isclose(inside.sum(), 4 / 3 * np.pi * 12 * 6 * 4, rtol=0.03)
    k, j, i = np.nonzero(inside)
    assert np.ptp(j) > np.ptp(i) > np.ptp(k)  # the long axis turned from x to y


def test_capsule_tapers_and_tube_joins() -> None:
    points = lattice()
    a, b, c = np.array([-10.0, 0, 0]), np.array([10.0, 0, 0]), np.array([10.0, 12, 0])
    cone = capsule(points, a, b, 2.0, 4.0)
    assert np.isclose(cone[20, 20, 10], -2.0) and np.isclose(cone[20, 20, 30], -4.0)
    assert np.isclose(cone[20, 20 + 6, 20], 6 - 3.0)  # beside the middle, where the radius is 3
    chain = tube(points, [a, b, c], [2.0, 2.0, 2.0])
    assert np.allclose(chain, np.minimum(capsule(points, a, b, 2, 2), capsule(points, b, c, 2, 2)))


def test_shapes_combine() -> None:
    points = lattice()
    left, right = (superellipsoid(points, (x, 0, 0), (8, 8, 8)) for x in (-5, 5))
    joined = smooth_union(left, right, 4.0)
    assert (joined <= np.minimum(left, right) + 1e-6).all()
    assert joined[20, 20 + 7, 20] < np.minimum(left, right)[20, 20 + 7, 20]  # the crease is filled
    cut = subtract(left, right, 1.0)
    assert not ((cut < 0) & (right < 1.0)).any() and ((cut < 0) & (left < 0)).any()
