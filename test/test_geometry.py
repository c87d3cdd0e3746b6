# SPDX-License-Identifier: Apache-2.0
"""Where voxels are: round trips and the operations that must leave every voxel at its place."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros import geometry as geometry_module
from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry, lps_to_ros, ros_to_lps, to_vector

AXES_ORDERS = list(permutations(range(3)))


@st.composite
def directions(draw: st.DrawFn) -> np.ndarray:
    """Orthonormal 3x3 matrices: any rotation, mirrored in half of the cases."""
    quaternion = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 4)))
    length = np.linalg.norm(quaternion)
    w, x, y, z = quaternion / length if length > 1e-3 else (1.0, 0.0, 0.0, 0.0)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    if draw(st.booleans()):
        rotation[:, draw(st.integers(0, 2))] *= -1
    return rotation


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Oblique, anisotropic grids of either handedness."""
    return Geometry(
        draw(st.tuples(*[st.integers(1, 9)] * 3)),
        draw(st.tuples(*[st.floats(0.2, 8.0)] * 3)),
        draw(st.tuples(*[st.floats(-500, 500)] * 3)),
        draw(directions()),
    )


indices = st.tuples(*[st.floats(-20, 20)] * 3)


def all_indices(geometry: Geometry) -> np.ndarray:
    """`(I, J, K, 3)`: every voxel's index."""
    return np.stack(np.meshgrid(*[np.arange(n) for n in geometry.size], indexing="ij"), axis=-1)


@given(geometries(), indices)
def test_index_to_lps_and_back(geometry: Geometry, index: tuple[float, float, float]) -> None:
    assert np.allclose(geometry.lps_to_index(geometry.index_to_lps(index)), index, atol=1e-6)


@given(geometries(), indices)
def test_index_to_ros_and_back(geometry: Geometry, index: tuple[float, float, float]) -> None:
    assert np.allclose(geometry.ros_to_index(geometry.index_to_ros(index)), index, atol=1e-6)


@given(geometries(), indices)
def test_ros_is_lps_in_metres(geometry: Geometry, index: tuple[float, float, float]) -> None:
    assert np.allclose(geometry.index_to_ros(index), geometry.index_to_lps(index) / 1000)


@given(geometries(), indices)
def test_affine_and_index_to_lps_agree(geometry: Geometry, index: tuple[float, float, float]) -> None:
    assert np.allclose((geometry.affine @ [*index, 1])[:3], geometry.index_to_lps(index))


def test_index_to_lps_by_hand() -> None:
    # i grows to posterior in steps of 2 mm, j to the right in 3 mm, k to superior in 4 mm.
    geometry = Geometry((5, 5, 5), (2, 3, 4), (10, 20, 30), ((0, -1, 0), (1, 0, 0), (0, 0, 1)))
    assert geometry.index_to_lps((1, 2, 3)).tolist() == [10 - 6, 20 + 2, 30 + 12]
    assert geometry.is_right_handed


@given(st.lists(indices, max_size=5))
def test_metres_and_millimetres(points: list[tuple[float, float, float]]) -> None:
    array = np.array(points).reshape(-1, 3)
    assert np.allclose(ros_to_lps(lps_to_ros(array)), array)


@given(geometries())
def test_points_keep_their_shape(geometry: Geometry) -> None:
    points = np.zeros((2, 4, 3))
    assert geometry.index_to_lps(points).shape == geometry.lps_to_index(points).shape == (2, 4, 3)


@given(geometries(), st.data())
def test_crop_leaves_voxels_in_place(geometry: Geometry, data: st.DataObject) -> None:
    start = tuple(data.draw(st.integers(0, n - 1)) for n in geometry.size)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, geometry.size, strict=True))
    cropped = geometry.crop(Box(start, stop))
    inside = all_indices(cropped)
    assert np.allclose(cropped.index_to_lps(inside), geometry.index_to_lps(inside + start))


@given(geometries())
def test_crop_beyond_the_grid_is_refused(geometry: Geometry) -> None:
    i, j, k = geometry.size
    with pytest.raises(ValueError, match="beyond"):
        geometry.crop(Box((0, 0, 0), (i, j, k + 1)))
    with pytest.raises(ValueError, match="beyond"):
        geometry.crop(Box((0, -1, 0), (i, j, k)))


@given(geometries(), st.integers(0, 2))
def test_flip_leaves_voxels_in_place(geometry: Geometry, axis: int) -> None:
    flipped = geometry.flip(axis)
    mirrored = all_indices(geometry)
    mirrored[..., axis] = geometry.size[axis] - 1 - mirrored[..., axis]
    assert np.allclose(flipped.index_to_lps(mirrored), geometry.index_to_lps(all_indices(geometry)))
    assert flipped.is_right_handed != geometry.is_right_handed
    assert flipped.flip(axis).is_same_grid(geometry, 1e-6)


@given(geometries(), st.sampled_from(AXES_ORDERS))
def test_permute_leaves_voxels_in_place(geometry: Geometry, axes: tuple[int, int, int]) -> None:
    permuted = geometry.permute(axes)
    old = all_indices(geometry)
    assert np.allclose(permuted.index_to_lps(old[..., list(axes)]), geometry.index_to_lps(old))
    even = axes in [(0, 1, 2), (1, 2, 0), (2, 0, 1)]
    assert (permuted.is_right_handed == geometry.is_right_handed) == even


@given(geometries(), st.tuples(*[st.floats(0.2, 8.0)] * 3))
def test_resampled_covers_the_same_extent(geometry: Geometry, spacing_mm: tuple[float, float, float]) -> None:
    resampled = geometry.resampled(spacing_mm)
    assert resampled.spacing_mm == spacing_mm
    # The outer border of the first voxel, half a voxel before its center, stays where it is.
    assert np.allclose(resampled.index_to_lps([-0.5] * 3), geometry.index_to_lps([-0.5] * 3), atol=1e-6)
    far = geometry.lps_to_index(resampled.index_to_lps(np.array(resampled.size) - 0.5))
    off_mm = (far - (np.array(geometry.size) - 0.5)) * geometry.spacing_mm
    at_least_one = np.array(resampled.size) == 1  # a grid thinner than half a new voxel still gets one
    assert (np.abs(off_mm) <= np.array(spacing_mm) / 2 + 1e-6)[~at_least_one].all()


@given(geometries())
def test_resampling_to_the_own_spacing_changes_nothing(geometry: Geometry) -> None:
    assert geometry.resampled(geometry.spacing_mm).is_same_grid(geometry, 1e-6)


@given(geometries(), st.floats(0.1, 5.0), st.integers(0, 2))
def test_same_grid_sees_a_shift(geometry: Geometry, shift_mm: float, axis: int) -> None:
    origin = list(geometry.origin_mm)
    origin[axis] += shift_mm
    moved = Geometry(geometry.size, geometry.spacing_mm, tuple(origin), geometry.direction)
    assert geometry.is_same_grid(geometry)
    assert not geometry.is_same_grid(moved)
    assert geometry.is_same_grid(moved, tolerance_mm=shift_mm + 1e-6)


def test_same_grid_sees_another_size() -> None:
    assert not Geometry((3, 4, 5)).is_same_grid(Geometry((3, 4, 6)))


@given(geometries())
def test_sizes_extents_and_volumes_agree(geometry: Geometry) -> None:
    assert geometry.shape == geometry.size[::-1]
    assert np.isclose(np.prod(geometry.extent_mm), np.prod(geometry.size) * geometry.voxel_volume_mm3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", (3, 0, 3)),
        ("size", (3, 3)),
        ("spacing_mm", (1.0, -1.0, 1.0)),
        ("spacing_mm", (1.0, 0.0, 1.0)),
        ("spacing_mm", (1.0, float("inf"), 1.0)),
        ("spacing_mm", (1.0, 1.0)),
        ("origin_mm", (0.0, 0.0)),
        ("spacing_mm", (1.0, float("nan"), 1.0)),
        ("origin_mm", (float("inf"), 0.0, 0.0)),
        ("direction", ((1, 0.2, 0), (0, 1, 0), (0, 0, 1))),
        ("direction", ((2, 0, 0), (0, 1, 0), (0, 0, 1))),
        ("direction", ((float("nan"), 0, 0), (0, 1, 0), (0, 0, 1))),
    ],
)
def test_impossible_grids_are_refused(field: str, value: tuple) -> None:
    with pytest.raises(ValueError, match=field.split("_")[0]):
        Geometry(**{"size": (3, 3, 3), field: value})


def test_the_smallest_grid_there_is() -> None:
    assert Geometry((1, 1, 1), (1e-9, 1e-9, 1e-9)).shape == (1, 1, 1)


@pytest.mark.parametrize(("off", "refused"), [(0.0009, False), (0.0011, True)])
def test_axes_may_be_off_right_angles_by_a_thousandth(off: float, refused: bool) -> None:
    direction = np.eye(3)
    direction[0, 1] = off
    if not refused:
        assert Geometry((3, 3, 3), direction=direction).direction[0][1] == off
        return
    with pytest.raises(ValueError, match=r"direction \(1 0.0011 0; 0 1 0; 0 0 1\) is not orthonormal"):
        Geometry((3, 3, 3), direction=direction)


def test_numbers_of_any_type_are_kept_as_plain_ones() -> None:
    arrays = Geometry(np.array([3, 4, 5]), np.float32([1, 2, 3]), np.arange(3), np.eye(3, dtype=int))
    plain = Geometry((3, 4, 5), (1.0, 2.0, 3.0), (0.0, 1.0, 2.0))
    assert arrays == plain
    assert hash(arrays) == hash(plain)
    for field in (arrays.spacing_mm, arrays.origin_mm, *arrays.direction):
        assert isinstance(field, tuple)
        assert {type(number) for number in field} == {float}
    assert {type(number) for number in arrays.size} == {int}


def test_corners_by_hand() -> None:
    corners = {(i, j, k) for i in (0, 3) for j in (0, 4) for k in (0, 5)}
    assert {tuple(corner) for corner in Geometry((4, 5, 6)).corners} == corners
    assert Geometry((4, 5, 6)).corners.shape == (8, 3)


@pytest.mark.parametrize("axis", range(3))
def test_same_grid_sees_the_far_corners(axis: int) -> None:
    grid = Geometry((11, 21, 31), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0))
    spacing = list(grid.spacing_mm)
    spacing[axis] += 0.0099 / (grid.size[axis] - 1)
    assert grid.is_same_grid(Geometry(grid.size, tuple(spacing), grid.origin_mm))
    spacing[axis] += 0.0002 / (grid.size[axis] - 1)
    assert not grid.is_same_grid(Geometry(grid.size, tuple(spacing), grid.origin_mm))


def test_same_grid_takes_just_the_tolerance() -> None:
    moved = Geometry((2, 2, 2), origin_mm=(0.5, 0.0, 0.0))
    assert Geometry((2, 2, 2)).is_same_grid(moved, 0.5)


def test_promised_numbers() -> None:
    assert geometry_module.MM_PER_M == 1000
    assert geometry_module.MM3_PER_ML == 1000
    assert geometry_module.mm3_to_ml(2500.0) == 2.5
    assert Geometry((1, 1, 1), (2.0, 2.5, 3.0)).voxel_volume_ml == pytest.approx(0.015)
    assert geometry_module.IDENTITY == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert Geometry((2, 3, 4)) == Geometry((2, 3, 4), (1, 1, 1), (0, 0, 0), np.eye(3))


def test_a_vector_of_any_kind_becomes_plain_floats() -> None:
    vector = to_vector(np.float32([1.5, -2, 3]))
    assert vector == (1.5, -2.0, 3.0)
    assert {type(number) for number in vector} == {float}
    assert {type(number) for number in to_vector([1, 2, 3])} == {float}


def test_triples_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match="three voxel indices"):
        Box((1, 1), (2, 2, 2))
    with pytest.raises(InputError, match=r"margin of \(1, 1\)"):
        Box((1, 1, 1), (2, 2, 2)).padded((1, 1), (9, 9, 9))
    for spacing in ((1.0, 1.0), (1.0, 1.0, 0.0)):
        with pytest.raises(InputError, match="three positive lengths"):
            Geometry((9, 9, 9)).resampled(spacing)


@given(st.data())
def test_box_around_holds_every_voxel_and_no_empty_border(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*[st.integers(1, 6)] * 3))
    mask = np.zeros(shape, bool)
    for _ in range(data.draw(st.integers(0, 4))):
        mask[tuple(data.draw(st.integers(0, n - 1)) for n in shape)] = True
    box = Box.around(mask)
    if box is None:
        assert not mask.any()
        return
    cut = mask[box.slices]
    assert cut.sum() == mask.sum()
    for axis in range(3):
        assert cut.take(0, axis).any()
        assert cut.take(-1, axis).any()
    assert cut.shape == box.size[::-1]


def test_box_padded_stays_on_the_grid() -> None:
    assert Box((2, 3, 4), (5, 6, 7)).padded((1, 4, 2), (10, 10, 8)) == Box((1, 0, 2), (6, 10, 8))


def test_empty_box_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Box((1, 1, 1), (2, 1, 2))


@given(geometries(), st.data())
def test_a_part_that_was_cut_out_and_padded_is_found_again(geometry: Geometry, data: st.DataObject) -> None:
    """Each voxel that both have lies in one place, and no other voxel does: those outside were added."""
    start = tuple(data.draw(st.integers(0, n - 1)) for n in geometry.size)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, geometry.size, strict=True))
    before, behind = (data.draw(st.tuples(*[st.integers(0, 3)] * 3)) for _ in range(2))
    part = geometry.crop(Box(start, stop)).padded(before, behind)
    assert part.size == tuple(b - a + m + n for a, b, m, n in zip(start, stop, before, behind, strict=True))
    place = geometry.place_of(part)
    assert place == Box(
        tuple(a - m for a, m in zip(start, before, strict=True)),
        tuple(b + n for b, n in zip(stop, behind, strict=True)),
    )
    here, own = geometry.shared_with(part)
    on_part = np.argwhere(np.ones(part.size))
    back = np.rint(geometry.lps_to_index(part.index_to_lps(on_part)))
    inside = ((back >= 0) & (back < geometry.size)).all(axis=1)
    assert np.array_equal(on_part[inside], np.argwhere(np.ones(own.size)) + own.start)
    assert np.array_equal(back[inside], np.argwhere(np.ones(here.size)) + here.start)


def test_what_shares_nothing_is_refused() -> None:
    grid = Geometry((2, 2, 2))
    with pytest.raises(InputError, match="empty"):
        grid.shared_with(Geometry((2, 2, 2), origin_mm=(5.0, 0.0, 0.0)))


@given(geometries(), st.tuples(*[st.integers(1, 4)] * 3))
def test_a_block_lies_at_the_middle_of_its_voxels(geometry: Geometry, step: tuple[int, int, int]) -> None:
    blocks = geometry.in_blocks(step)
    assert np.array_equal(blocks.size, -(-np.array(geometry.size) // step))
    for index in np.argwhere(np.ones(blocks.size))[:5]:
        voxels = np.argwhere(np.ones(step)) + index * step
        middle = geometry.index_to_lps(voxels).mean(axis=0)
        np.testing.assert_allclose(blocks.index_to_lps(index), middle, rtol=0, atol=1e-9)
