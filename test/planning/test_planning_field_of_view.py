# SPDX-License-Identifier: Apache-2.0
"""Where a CT's measurement ends: no skin is found there. A torso whose skin is known is cut in many ways."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.planning.body import find_body
from liver_seg_ros.planning.field_of_view import cut_places, find_field_of_view
from liver_seg_ros.planning.skin import Skin, find_skin
from liver_seg_ros.volume import Volume

#: The torso's voxels are 4 mm wide, and so is the grid on which the body is looked for.
VOXEL_MM = 4.0
#: Nearer than this to a cut the skin need not be found.
BESIDE_CUT_MM = 15.0


@pytest.fixture(scope="module")
def whole(torso) -> Skin:
    return find_skin(torso.ct)


def assert_on_skin(torso, skin: Skin, least: int) -> None:
    entries = skin.entries_to(torso.center_mm)
    assert len(entries) >= least
    for points in (entries, skin.points.points_mm.astype(float)):
        assert np.abs(torso.distance_mm(points)).max() < VOXEL_MM + 1


def assert_finds(skin: Skin, true_points_mm: np.ndarray) -> None:
    """The skin that is in view is found."""
    assert len(true_points_mm) > 100
    away_mm, _ = cKDTree(skin.points.points_mm).query(true_points_mm)
    assert np.mean(away_mm < 12) > 0.9


def test_the_whole_torso_has_its_skin_all_around(torso, whole):
    assert_on_skin(torso, whole, 3000)
    assert whole.cut < 0.02


@pytest.mark.parametrize(
    ("radius_mm", "filling_hu", "off_center_mm"),
    [
        (135, -1024, (0, 0)),
        (135, -3024, (0, 0)),
        (135, -1000, (0, 0)),
        (135, 0, (0, 0)),
        (135, 40, (0, 0)),
        (125, -1024, (-60, -30)),
    ],
)
def test_a_round_field_of_view_is_no_skin(radius_mm, filling_hu, off_center_mm, torso, whole, cut_round):
    skin = find_skin(cut_round(torso.ct, radius_mm, filling_hu, off_center_mm))
    assert_on_skin(torso, skin, 500)
    assert 0.15 < skin.cut < 0.8
    points = whole.points.points_mm
    from_axis_mm = np.linalg.norm(points[:, :2] - off_center_mm, axis=1)
    assert_finds(skin, points[from_axis_mm < radius_mm - BESIDE_CUT_MM])


@pytest.mark.parametrize("filling_hu", [-1024, -3024, 0])
def test_a_field_of_view_within_the_body_leaves_no_skin(filling_hu, torso, cut_round):
    skin = find_skin(cut_round(torso.ct, 65, filling_hu))
    assert len(skin.points.points_mm) == 0
    assert len(skin.entries_to(torso.center_mm)) == 0
    assert skin.cut > 0.9


@pytest.mark.parametrize("filling_hu", [None, -1024, 0])
def test_a_cut_at_the_table_is_no_skin(filling_hu, torso, whole):
    """Off it goes behind a plane through the back, by a crop or by a filling."""
    row = int(torso.ct.geometry.lps_to_index(whole.points.points_mm.max(axis=0))[1]) - 12
    back_mm = torso.ct.geometry.index_to_lps((0, row, 0))[1]
    i, _, k = torso.ct.geometry.size
    if filling_hu is None:
        ct = torso.ct.crop(Box((0, 0, 0), (i, row, k)))
    else:
        array = torso.ct.array.copy()
        array[:, row:] = filling_hu
        ct = Volume(array, torso.ct.geometry)
    skin = find_skin(ct)
    assert_on_skin(torso, skin, 1000)
    assert skin.points.points_mm[:, 1].max() < back_mm
    assert_finds(skin, whole.points.points_mm[whole.points.points_mm[:, 1] < back_mm - BESIDE_CUT_MM])


@pytest.mark.parametrize("margin_mm", [8, 32])
def test_a_crop_around_the_liver_is_no_skin(margin_mm, torso, whole):
    box = Box.around(torso.labels.array > 0)
    assert box is not None
    ct = torso.ct.crop(box.padded((int(margin_mm / VOXEL_MM),) * 3, torso.ct.geometry.size))
    skin = find_skin(ct)
    assert_on_skin(torso, skin, 50)
    index = ct.geometry.lps_to_index(whole.points.points_mm)
    assert_finds(skin, whole.points.points_mm[((index > 3) & (index < np.array(ct.geometry.size) - 4)).all(axis=1)])


@pytest.mark.parametrize(("filling_hu", "radius_mm"), [(0, None), (-1000, None), (-1024, 135), (-3024, 135)])
def test_an_oblique_grid_has_the_same_skin_and_its_padding_none(filling_hu, radius_mm, torso, cut_round, resampled):
    ct = torso.ct if radius_mm is None else cut_round(torso.ct, radius_mm, filling_hu)
    turn = Rotation.from_euler("xyz", [12, -8, 15], degrees=True).as_matrix()
    size, spacing_mm = (110, 95, 75), (3.7, 3.7, 3.7)
    origin = -turn @ (np.array(spacing_mm) * (np.array(size) - 1) / 2)
    skin = find_skin(resampled(ct, Geometry(size, spacing_mm, tuple(origin), turn.tolist()), filling_hu))
    assert_on_skin(torso, skin, 500)


def test_a_ct_stored_in_sagittal_slices_has_the_same_body(torso, cut_round):
    ct = cut_round(torso.ct, 135, -1024)
    sagittal = Volume(np.ascontiguousarray(ct.array.transpose(2, 0, 1)), ct.geometry.permute((1, 2, 0)))
    expected, found = find_body(ct), find_body(sagittal)
    assert found.geometry.is_same_grid(expected.geometry)
    np.testing.assert_array_equal(found.inside, expected.inside)
    np.testing.assert_array_equal(found.unsure, expected.unsure)


@pytest.fixture(scope="module")
def drawn() -> Volume:
    """An elliptic body without noise or blur, with air of exactly -1000 HU."""
    _, j, i = np.indices((40, 60, 80))
    inside = np.hypot((j - 30) / 24, (i - 40) / 34) <= 1
    return Volume(np.where(inside, 40, -1000).astype(np.int16), Geometry((80, 60, 40), (3.0, 3.0, 3.0)))


def test_air_that_someone_drew_is_air_but_not_a_filling_around_it(drawn, cut_round):
    whole = find_skin(drawn)
    assert whole.cut < 0.05
    skin = find_skin(cut_round(drawn, 85.0, -1024))
    assert skin.cut > 0.2
    middle = drawn.geometry.index_to_lps((40, 30, 20))
    away = skin.points.points_mm - middle
    assert np.hypot(away[:, 0], away[:, 1]).max() < 84  # at the sides the field of view cuts the body
    assert (np.abs(away[:, 1]) > 40).all()
    assert len(skin.points.points_mm) > 100
    fringe = np.abs(np.hypot(away[:, 0] / 102, away[:, 1] / 72) - 1)
    assert fringe.max() < 0.06


def halves(blur_voxels: float, air_hu: int, noise_hu: float = 15.0) -> Volume:
    """Tissue with noise up to the plane between voxels 19 and 20 of axis i, one value of air beyond it."""
    array = np.full((40, 40, 40), float(air_hu))
    array[..., :20] = 50
    array = gaussian_filter(array, (0, 0, blur_voxels), mode="nearest") if blur_voxels else array
    noise = np.random.default_rng(1).normal(0, noise_hu, array.shape)
    array = np.where(np.abs(array - air_hu) < 1, air_hu, array + noise)
    return Volume(np.rint(array).astype(np.int16), Geometry((40, 40, 40)))


def places_on_the_plane() -> tuple[np.ndarray, np.ndarray]:
    k, j = np.meshgrid(np.arange(6.0, 34, 4), np.arange(6.0, 34, 4))
    points = np.stack([np.full(k.size, 19.5), j.ravel(), k.ravel()], axis=1)
    return points, np.broadcast_to([1.0, 0, 0], points.shape)


@pytest.mark.parametrize("air_hu", [-1024, -1000])
def test_air_and_a_filling_of_one_value_are_told_apart_by_the_blur(air_hu):
    for blur_voxels, is_cut in ((0.0, True), (1.0, False), (1.5, False)):
        ct = halves(blur_voxels, air_hu)
        view = find_field_of_view(ct.array, ct.geometry)
        assert view.fillings == (air_hu,)
        assert view.is_air is None
        assert not view.measured[..., 30:].any() and view.measured[..., :19].all()
        assert (cut_places(ct, view, *places_on_the_plane()) == is_cut).all()


@pytest.mark.parametrize("filling_hu", [-3024, -1101, -899, 0, 200])
def test_what_cannot_be_air_cuts_however_it_looks(filling_hu):
    ct = halves(0.7, filling_hu)
    view = find_field_of_view(ct.array, ct.geometry)
    assert cut_places(ct, view, *places_on_the_plane()).all()


def test_the_end_of_the_grid_cuts_within_five_millimetres():
    ct = Volume(np.random.default_rng(2).normal(40, 10, (40, 40, 40)).astype(np.int16), Geometry((40, 40, 40)))
    view = find_field_of_view(ct.array, ct.geometry)
    assert view.measured.all() and view.fillings == ()
    points = np.array([[x, 20.0, 20.0] for x in (30.0, 34.0, 35.0, 39.0)])
    assert cut_places(ct, view, points, np.broadcast_to([1.0, 0, 0], points.shape)).tolist() == [
        False, False, True, True,
    ]  # fmt: skip
    assert not cut_places(ct, view, np.empty((0, 3)), np.empty((0, 3))).size


def test_where_other_air_was_measured_one_value_is_a_filling():
    ct = halves(1.0, -1024)
    array = ct.array.copy()
    array[:, :10, :10] = np.random.default_rng(3).normal(-990, 12, (40, 10, 10)).astype(np.int16)
    view = find_field_of_view(array, ct.geometry)
    assert view.is_air is False
    assert cut_places(Volume(array, ct.geometry), view, *places_on_the_plane())[12:].all()
    cut_off = np.where(array < -990, np.int16(-1024), array)  # the same air, cut off: half of it has the value
    assert find_field_of_view(cut_off, ct.geometry).is_air is None


def test_a_real_torso_in_a_round_field_of_view(shared_data, cut_round):
    from liver_seg_ros.files.volumes import read_volume

    path = shared_data / "ct_torso_3mm" / "ct.nii.gz"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    ct = read_volume(path)
    whole = find_skin(ct)
    for radius_mm, filling_hu, least in ((120, -1024, 300), (90, -3024, 0)):
        skin = find_skin(cut_round(ct, radius_mm, filling_hu))
        assert len(skin.points.points_mm) >= least
        assert np.abs(whole.surface.signed_distance(skin.points.points_mm)).max(initial=0) < 5
        if not least:
            assert len(skin.points.points_mm) == 0
