# SPDX-License-Identifier: Apache-2.0
"""The skin: where it is, without the table, and from where a target can be reached."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.planning.skin import Skin, find_skin
from liver_seg_ros.volume import Volume

GEOMETRY = Geometry((150, 120, 50), (2.0, 2.0, 4.0), (-150.0, -120.0, 500.0))
MIDDLE = (0.0, 0.0, 600.0)
RADII = np.array([120.0, 80.0])


def squeezed(points):
    """1 on the body's surface, an elliptic cylinder along z."""
    return np.linalg.norm(points[..., :2] / RADII, axis=-1)


@pytest.fixture(scope="module")
def ct() -> Volume:
    """A body with lungs and a bubble of gas, on a table of 6 mm that touches it, an arm beside it, noise everywhere."""
    k, j, i = np.indices(GEOMETRY.shape)
    points = GEOMETRY.index_to_lps(np.stack([i, j, k], axis=-1))
    x, y, z = np.moveaxis(points, -1, 0)
    hu = np.full(GEOMETRY.shape, -1000.0)
    hu[(y > 80) & (y < 86)] = 100
    hu[np.hypot(x - 138, y - 20) < 8] = 40
    hu[squeezed(points) <= 1] = 50
    hu[(np.hypot(np.abs(x) - 50, y) < 35) & (z > 640)] = -850  # open at the end of the volume
    hu[np.linalg.norm(points - [0, -30, 560], axis=-1) < 12] = -900
    hu += np.random.default_rng(0).normal(0, 20, hu.shape)
    return Volume(hu.astype(np.int16), GEOMETRY)


@pytest.fixture(scope="module")
def skin(ct) -> Skin:
    return find_skin(ct)


def test_points_lie_on_the_body_only_and_face_outward(skin):
    points = skin.points.points_mm.astype(float)
    gap_mm = (squeezed(points) - 1) * np.linalg.norm(points[:, :2], axis=1) / squeezed(points)
    at_table = points[:, 1] > 70
    assert np.abs(gap_mm[~at_table]).max() < 3  # a voxel of the grid on which it is looked for
    assert np.abs(gap_mm[at_table]).max() < 8
    assert np.abs(gap_mm).mean() < 0.8
    outward = points[:, :2] / RADII**2
    outward /= np.linalg.norm(outward, axis=1)[:, None]
    assert (np.einsum("ni,ni->n", outward, skin.points.normals[:, :2])[~at_table] > 0.8).all()
    assert 500 <= points[:, 2].min() < 510  # not across the body where the CT ends
    assert 686 < points[:, 2].max() <= 696


def test_points_are_as_dense_as_asked(ct):
    points = find_skin(ct, 10.0).points.points_mm
    gaps = cKDTree(points).query(points, k=2)[0][:, 1]
    assert gaps.min() >= 10 - 1e-3
    assert np.median(gaps) < 13


def test_entries_face_the_target_and_do_not_leave_the_body(skin):
    entries = skin.entries_to(MIDDLE, max_angle_deg=30)
    assert 100 < len(entries) < len(skin.points.points_mm)
    towards = np.array(MIDDLE) - entries
    inward = -entries[:, :2] / RADII**2
    inward /= np.linalg.norm(inward, axis=1)[:, None]
    cosine = np.einsum("ni,ni->n", towards[:, :2], inward) / np.linalg.norm(towards, axis=1)
    angle_deg = np.degrees(np.arccos(cosine))
    assert np.quantile(angle_deg, 0.95) < 32  # where the table touched, normals are not those of the ellipse
    assert len(skin.entries_to(MIDDLE, 80)) > len(entries)
    assert len(skin.entries_to((0, 0, 5000))) == 0  # out through the end of the CT


def test_no_entry_lies_behind_a_fold_of_skin():
    _, j, i = np.indices((40, 60, 90))
    two_lobes = (
        (np.hypot(i - 22, j - 30) < 20) | (np.hypot(i - 66, j - 30) < 20) | ((j > 44) & (j < 56) & (abs(i - 44) < 30))
    )
    hu = np.where(two_lobes, 30, -1000).astype(np.int16)
    skin = find_skin(Volume(hu, Geometry((90, 60, 40), (3.0, 3.0, 3.0))))
    entries = skin.entries_to((66 * 3, 90, 60))
    other = (entries[:, 0] < 126) & (entries[:, 1] < 120)  # it faces the target too
    assert len(entries) > 200
    assert not other.any()


@pytest.mark.parametrize("wall_mm", [14.0, 5.0])
def test_lungs_are_inside_where_the_field_of_view_cuts_them_and_where_their_wall_is_thin(wall_mm):
    """A body whose lungs reach out of the top of the CT, and on one side out of its field of view."""
    geometry = Geometry((80, 90, 40), (3.0, 3.0, 3.0), (-120.0, -135.0, 0.0))
    k, j, i = np.indices(geometry.shape)
    x, y, z = np.moveaxis(geometry.index_to_lps(np.stack([i, j, k], axis=-1)), -1, 0)
    inside = np.hypot((x + 30) / 110, y / 90)  # 20 mm of it are beyond the left edge of the CT
    lung = (np.hypot((x + 30) / (110 - wall_mm), y / (90 - wall_mm)) <= 1) & (np.hypot(x + 30, y) > 30) & (z > 50)
    hu = np.where(lung, -850, np.where(inside <= 1, 40, -1000)).astype(np.int16)
    skin = find_skin(Volume(hu, geometry))
    points = skin.points.points_mm
    away_mm = (1 - np.hypot((points[:, 0] + 30) / 110, points[:, 1] / 90)) * 100
    assert np.abs(away_mm).max() < 8  # on the outside of the body, not on the lung or the heart
    assert len(skin.entries_to((-30, 0, 30))) > 300


def test_a_small_crop_of_the_inside_is_a_body_without_skin():
    hu = np.random.default_rng(4).normal(60, 15, (25, 30, 30)).astype(np.int16)
    skin = find_skin(Volume(hu, Geometry((30, 30, 25), (3.0, 3.0, 3.0))))
    assert len(skin.points.points_mm) == 0 and skin.cut == 1
    assert skin.entries_to((45, 45, 40)).shape == (0, 3)


def test_air_has_no_skin():
    with pytest.raises(InputError, match="shows no body"):
        find_skin(Volume(np.full((20, 30, 40), -1000, np.int16), Geometry((40, 30, 20), (3.0, 3.0, 3.0))))


def test_what_is_not_a_target_is_refused(skin):
    with pytest.raises(ValueError, match="target: row 0"):
        skin.entries_to((0, np.nan, 0))


def test_a_real_torso_has_skin_all_around_the_liver(shared_data):
    from liver_seg_ros.files.volumes import read_labels, read_volume

    folder = shared_data / "ct_torso_3mm"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    liver = read_labels(folder / "liver.nii.gz")
    center = liver.geometry.index_to_lps(np.argwhere(liver.array > 0).mean(axis=0)[::-1])
    entries = find_skin(read_volume(folder / "ct.nii.gz")).entries_to(center)
    from_center = entries - center
    assert (np.linalg.norm(from_center, axis=1) > 40).all()
    angle = np.degrees(np.arctan2(from_center[:, 1], from_center[:, 0]))
    assert (np.histogram(angle, bins=12, range=(-180, 180))[0] > 20).all()  # an entry in every direction
