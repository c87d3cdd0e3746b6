# SPDX-License-Identifier: Apache-2.0
"""Painting into a CT: nothing outside the mask, truth where it is said to be, noise and edges those of the CT."""

from __future__ import annotations

from dataclasses import replace

import edt
import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.spatial.transform import Rotation
from scipy.special import ndtr

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.phantom.implants import Implanted, ImplantOptions, implant
from liver_seg_ros.phantom.scan_texture import measure_texture
from liver_seg_ros.volume import LabelVolume, Volume

LIVER_HU, FAT_HU, NOISE_HU, GRAIN, EDGE_MM = 110.0, -95.0, 14.0, 0.7, 1.3
SPACING = (1.0, 1.0, 1.5)
#: A seed whose tumor is large and of one grey value.
ONE_PLAIN_TUMOR = 8
TUMORS = ImplantOptions(tumor_count=3, trees=1)


def ball_in_fat(geometry: Geometry) -> tuple[Volume, LabelVolume]:
    """A liver of 33 mm radius, 110 HU, whose edge is a Gaussian's integral, with noise of a Gaussian grain in plane."""
    k, j, i = (np.arange(n) - (n - 1) / 2 for n in geometry.shape)
    si, sj, sk = geometry.spacing_mm
    depth = 33 - np.sqrt((k[:, None, None] * sk) ** 2 + (j[:, None] * sj) ** 2 + (i * si) ** 2)
    hu = FAT_HU + (LIVER_HU - FAT_HU) * ndtr(depth / EDGE_MM)
    noise = gaussian_filter(np.random.default_rng(7).standard_normal(hu.shape), (0, GRAIN, GRAIN), mode="wrap")
    ct = np.rint(hu + noise * NOISE_HU / noise.std()).astype(np.int16)
    return Volume(ct, geometry, "ball"), LabelVolume((depth > 0).astype(np.uint8), geometry, "ball")


@pytest.fixture(scope="module")
def tilted() -> tuple[Volume, LabelVolume]:
    """Stored from feet to head, right to left and tilted by some degrees: as no phantom is."""
    turn = Rotation.from_euler("xyz", [7, -4, 11], degrees=True).as_matrix() @ np.diag([-1.0, 1.0, -1.0])
    direction = tuple(tuple(float(v) for v in row) for row in turn)
    return ball_in_fat(Geometry((84, 80, 56), SPACING, (40.0, -90.0, 310.0), direction))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def planted(tilted: tuple[Volume, LabelVolume]) -> Implanted:
    return implant(*tilted, 4, TUMORS)


def test_noise_grain_and_edge_are_measured_as_they_were_made(tilted: tuple[Volume, LabelVolume]) -> None:
    ct, labels = tilted
    depth = edt.edt(labels.array, anisotropy=SPACING[::-1]) - edt.edt(labels.array == 0, anisotropy=SPACING[::-1])
    found = measure_texture(ct.array, depth.astype(np.float32), SPACING)
    assert found.liver_hu == pytest.approx(LIVER_HU, abs=1)
    assert found.noise_hu == pytest.approx(NOISE_HU, rel=0.05)
    assert found.grain_voxels[:2] == pytest.approx([GRAIN, GRAIN], abs=0.07) and found.grain_voxels[2] < 0.3
    assert found.edge_mm == pytest.approx(EDGE_MM, rel=0.12)


def test_nothing_is_touched_outside_the_mask(planted: Implanted, tilted: tuple[Volume, LabelVolume]) -> None:
    ct, labels = tilted
    outside = labels.array == 0
    assert np.array_equal(planted.ct.array[outside], ct.array[outside]) and not planted.labels.array[outside].any()
    assert planted.ct.geometry == ct.geometry and planted.ct.uid == "ball"
    assert (planted.labels.array[~outside] > 0).all()
    changed = (planted.ct.array != ct.array)[~outside]
    assert 0.01 < changed.mean() < 0.7  # and the rest of the liver is the CT's own


def test_the_same_seed_gives_the_same_voxels(planted: Implanted, tilted: tuple[Volume, LabelVolume]) -> None:
    again, other = implant(*tilted, 4, TUMORS), implant(*tilted, 5, TUMORS)
    assert np.array_equal(planted.ct.array, again.ct.array) and planted.to_dict() == again.to_dict()
    assert not np.array_equal(planted.labels.array, other.labels.array)


def test_the_truth_lies_where_the_labels_are(planted: Implanted) -> None:
    truth, geometry = planted.to_dict(), planted.labels.geometry
    frame = np.array(truth["frame"]).T  # rows of the file are the frame's axes in LPS
    assert 2 <= len(truth["tumors"]) <= 3 and np.allclose(frame.T @ frame, np.eye(3), atol=1e-6)
    values = planted.labels.array

    def value_at(points_mm: np.ndarray) -> np.ndarray:
        i, j, k = np.rint(geometry.lps_to_index(points_mm @ frame.T)).astype(int).T
        return np.asarray(values[k, j, i])

    centers = np.array([tumor["center_mm"] for tumor in truth["tumors"]])
    assert (value_at(centers) == TUMOR.value).all()
    (tree,) = truth["trees"]
    thick = np.array(tree["radius_mm"]) > 1
    assert np.isin(value_at(np.array(tree["points_mm"])[thick]), [TUMOR.value, VESSEL.value]).mean() > 0.9


def test_what_is_painted_has_the_noise_and_the_sharpness_of_the_ct(tilted: tuple[Volume, LabelVolume]) -> None:
    """Inside a tumor noise and grain are the liver's, its mean is what was drawn, its border as wide as the CT's."""
    planted = implant(*tilted, ONE_PLAIN_TUMOR, ImplantOptions(tumor_count=1, trees=0))
    tumor, hu = planted.tumors[0], planted.ct.array.astype(float)
    assert tumor.diameter_mm > 24 and not tumor.rim_hu and not tumor.necrosis
    mask = planted.labels.array == TUMOR.value
    core = binary_erosion(mask, iterations=4)
    assert core.sum() > 200
    assert hu[core].mean() == pytest.approx(LIVER_HU + tumor.contrast_hu, abs=4)
    assert hu[core].std() == pytest.approx(NOISE_HU, rel=0.15)
    pairs = core[:, :, 1:] & core[:, :, :-1]
    step = np.diff(hu, axis=2)[pairs]
    assert step.var() / 2 / NOISE_HU**2 == pytest.approx(1 - np.exp(-1 / (4 * GRAIN**2)), abs=0.12)
    depth = edt.edt(mask, anisotropy=SPACING[::-1]) - edt.edt(~mask, anisotropy=SPACING[::-1])
    band = (np.abs(depth) < 5) & binary_erosion(planted.labels.array > 0, iterations=4)
    profile = [hu[band & (np.abs(depth - at) < 0.5)].mean() for at in (-4, -1.5, 1.5, 4)]
    share = (np.array(profile) - profile[0]) / (profile[-1] - profile[0])
    assert 0.03 < share[1] < 0.3 and 0.7 < share[2] < 0.97  # a hard edge has 0 and 1


def test_cysts_are_water_and_liver_in_the_labels(tilted: tuple[Volume, LabelVolume]) -> None:
    ct, labels = tilted
    cysts = implant(ct, labels, 5, ImplantOptions(tumor_count=0, trees=0, variation="varied_cysts"))
    usual = implant(ct, labels, 5, ImplantOptions(tumor_count=0, trees=0, variation="varied"))
    assert np.array_equal(usual.ct.array, ct.array)
    assert np.array_equal(cysts.labels.array > 0, labels.array > 0) and cysts.labels.array.max() == LIVER.value
    deep = binary_erosion(labels.array > 0, iterations=4)
    painted = binary_erosion((gaussian_filter(cysts.ct.array.astype(np.float32), 1.0) < 55) & deep, iterations=2)
    assert painted.sum() > 100
    assert -10 < cysts.ct.array[painted].mean() < 20


def test_what_cannot_be_is_refused(tilted: tuple[Volume, LabelVolume]) -> None:
    ct, labels = tilted
    with pytest.raises(InputError, match="less than 20 ml of liver"):
        implant(ct, LabelVolume(np.zeros_like(labels.array), labels.geometry), 1)
    with pytest.raises(InputError, match="give both on one grid"):
        implant(ct, replace(labels, geometry=replace(labels.geometry, origin_mm=(0.0, 0.0, 0.0))), 1)
    with pytest.raises(InputError, match="5 trees of vessels: give 0 to 4"):
        ImplantOptions(trees=5)
