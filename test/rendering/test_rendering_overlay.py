# SPDX-License-Identifier: Apache-2.0
"""Slices: the right voxels at the right side of the picture at the right scale, whatever the grid."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR
from liver_seg_ros.rendering.contact_sheet import contact_sheet
from liver_seg_ros.rendering.overlay import render_overlay
from liver_seg_ros.rendering.slices import draw_slice, point_of_interest
from liver_seg_ros.volume import LabelVolume, Volume

#: LPS mm: a bright block in the patient's right, front, upper part of an otherwise gray body.
BLOCK_LOW, BLOCK_HIGH = np.array([-35.0, -25.0, 15.0]), np.array([-15.0, -10.0, 30.0])


def in_block(points):
    return np.all((points > BLOCK_LOW) & (points < BLOCK_HIGH), axis=-1)


def grid(axes=(0, 1, 2), flips=(), angle_deg=0.0) -> Geometry:
    """80 x 60 x 70 mm around zero with anisotropic voxels, its index axes permuted, flipped and turned."""
    a = np.radians(angle_deg)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    size, spacing_mm = np.array([80, 40, 28]), np.array([1.0, 1.5, 2.5])
    origin = turn @ (-(size - 1) / 2 * spacing_mm)
    geometry = Geometry(tuple(size), tuple(spacing_mm), tuple(origin), turn.tolist()).permute(axes)
    for axis in flips:
        geometry = geometry.flip(axis)
    return geometry


def case(geometry: Geometry, value: int = TUMOR.value) -> tuple[Volume, LabelVolume]:
    k, j, i = np.indices(geometry.shape)
    block = in_block(geometry.index_to_lps(np.stack([i, j, k], axis=-1)))
    return (
        Volume(np.where(block, 240, 40).astype(np.int16), geometry),
        LabelVolume(block.astype(np.uint8) * np.uint8(value), geometry),
    )


GRIDS = {
    "LPS": grid(),
    "RAS": grid(flips=(0, 1)),
    "permuted": grid(axes=(2, 0, 1)),
    "permuted and flipped": grid(axes=(1, 2, 0), flips=(0, 2)),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(
    ("view", "left_right_mm", "top_bottom_mm"),
    [
        ("axial", (-35 + 40, -15 + 40), (-25 + 30, -10 + 30)),  # from the right edge; from the front
        ("coronal", (-35 + 40, -15 + 40), (35 - 30, 35 - 15)),  # from the right edge; from the top
        ("sagittal", (-25 + 30, -10 + 30), (35 - 30, 35 - 15)),  # from the front; from the top
    ],
)
def test_a_block_is_where_a_radiologist_looks_for_it(name, view, left_right_mm, top_bottom_mm):
    volume, labels = case(GRIDS[name])
    pixel_mm = 0.5
    picture = draw_slice(volume, labels, view, point_of_interest(labels), pixel_mm)
    rows, columns = np.nonzero(picture[..., 1].astype(int) - picture[..., 0] > 15)  # the tumor's green
    assert (columns.min() * pixel_mm, (columns.max() + 1) * pixel_mm) == pytest.approx(left_right_mm, abs=1.3)
    assert (rows.min() * pixel_mm, (rows.max() + 1) * pixel_mm) == pytest.approx(top_bottom_mm, abs=1.3)
    size_mm = {"axial": (60, 80), "coronal": (70, 80), "sagittal": (70, 60)}[view]
    assert picture.shape == (size_mm[0] / pixel_mm, size_mm[1] / pixel_mm, 3)


def test_every_orientation_gives_the_same_picture(tmp_path):
    pictures = []
    for name, geometry in GRIDS.items():
        render_overlay(*case(geometry), tmp_path / f"{name}.png")
        pictures.append(np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int))
    for other in pictures[1:]:
        assert other.shape == pictures[0].shape
        assert (abs(other - pictures[0]).max(axis=-1) > 30).mean() < 0.002


def test_an_oblique_grid_is_straightened_and_black_outside():
    volume, labels = case(grid(angle_deg=20))
    picture = draw_slice(volume, labels, "axial", point_of_interest(labels), 1.0)
    assert picture[0, 0].tolist() == [0, 0, 0]
    left = 40 * np.cos(np.radians(20)) + 30 * np.sin(np.radians(20))  # half the width of the turned grid
    front = 30 * np.cos(np.radians(20)) + 40 * np.sin(np.radians(20))
    rows, columns = np.nonzero(picture[..., 1].astype(int) - picture[..., 0] > 15)
    assert (columns.min(), columns.max() + 1) == pytest.approx((left - 35, left - 15), abs=2)
    assert (rows.min(), rows.max() + 1) == pytest.approx((front - 25, front - 10), abs=2)


def test_the_window_maps_hounsfield_units_to_gray():
    array = np.zeros((1, 1, 3), np.int16)
    array[0, 0] = (-1000, 40, 1000)
    geometry = Geometry((3, 1, 1))
    volume, nothing = Volume(array, geometry), LabelVolume(np.zeros((1, 1, 3), np.uint8), geometry)
    picture = draw_slice(volume, nothing, "axial", np.zeros(3), 1.0)
    assert picture[0, :, 0].tolist() == [0, 128, 255]


def test_slices_go_through_the_tumor_rather_than_the_liver():
    geometry = Geometry((20, 20, 20))
    array = np.zeros(geometry.shape, np.uint8)
    array[2:18, 2:18, 2:18] = LIVER.value
    array[4, 5, 6] = TUMOR.value
    assert point_of_interest(LabelVolume(array, geometry)).tolist() == [6, 5, 4]
    assert point_of_interest(LabelVolume(np.zeros_like(array), geometry)).tolist() == [9.5, 9.5, 9.5]
    hollow = np.zeros_like(array)
    hollow[10, 2:18, 2:18] = LIVER.value
    hollow[10, 4:16, 4:16] = 0
    i, j, k = point_of_interest(LabelVolume(hollow, geometry)).astype(int)
    assert hollow[k, j, i] == LIVER.value


def test_labels_of_another_grid_are_refused(tmp_path):
    volume, _ = case(GRIDS["LPS"])
    _, labels = case(GRIDS["RAS"])
    with pytest.raises(ValueError, match="grid"):
        render_overlay(volume, labels, tmp_path / "overlay.png")


def test_labels_whose_file_rounds_its_grid_are_drawn_on_the_cts(tmp_path):
    """What `files.matching` takes for the points of the CT are its points here."""
    volume, labels = case(GRIDS["LPS"])
    geometry = volume.geometry
    rounded = Geometry(geometry.size, (1.0005, 1.5, 2.5), (-39.45, -29.25, -33.7), geometry.direction)
    for name, drawn in (("own", labels), ("rounded", LabelVolume(labels.array, rounded))):
        render_overlay(volume, drawn, tmp_path / f"{name}.png")
    assert (tmp_path / "own.png").read_bytes() == (tmp_path / "rounded.png").read_bytes()


def test_a_picture_that_cannot_be_written_is_an_input_error_and_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file"):
        render_overlay(*case(GRIDS["LPS"]), tmp_path / "file" / "overlay.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="folder"):
        render_overlay(*case(GRIDS["LPS"]), tmp_path / "folder.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


def test_one_slice_and_no_labels_are_drawn(tmp_path):
    geometry = Geometry((64, 64, 1), (1.0, 1.0, 5.0))
    volume = Volume(np.zeros(geometry.shape, np.int16), geometry)
    render_overlay(volume, LabelVolume(np.zeros(geometry.shape, np.uint8), geometry), tmp_path / "new" / "overlay.png")
    assert Image.open(tmp_path / "new" / "overlay.png").width == 1800


def test_a_contact_sheet_has_a_tile_per_volume(tmp_path):
    volume, labels = case(GRIDS["LPS"])
    contact_sheet([(volume, labels), (volume, None), (volume, labels)], ["a", "b", "c"], tmp_path / "s.png", columns=2)
    sheet = np.asarray(Image.open(tmp_path / "s.png")).astype(int)
    green = sheet[..., 1] - sheet[..., 0] > 15
    middle_row, middle_column = (n // 2 for n in green.shape)
    assert green[:middle_row, :middle_column].any() and green[middle_row:, :middle_column].any()
    assert not green[:, middle_column:].any()  # the second has no labels, a fourth there is not
    with pytest.raises(ValueError):
        contact_sheet([(volume, labels)], ["a", "b"], tmp_path / "s.png")
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], [], tmp_path / "s.png")


def test_the_real_ct_is_drawn_with_its_liver_on_the_left_of_the_picture(shared_data, tmp_path):
    from liver_seg_ros.files.volumes import read_labels, read_volume

    folder = shared_data / "ct_torso_3mm"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    volume, labels = read_volume(folder / "ct.nii.gz"), read_labels(folder / "liver.nii.gz")
    picture = draw_slice(volume, labels, "axial", point_of_interest(labels), 1.0).astype(int)
    columns = np.nonzero(picture[..., 0] - picture[..., 2] > 10)[1]
    assert columns.mean() < 0.45 * picture.shape[1]
