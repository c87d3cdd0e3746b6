# SPDX-License-Identifier: Apache-2.0
"""Varied phantoms: their truth is true as well, they go beyond the plain ones, and those are as they always were."""

from __future__ import annotations

from dataclasses import replace

import cc3d
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, gaussian_filter1d

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import HEART, LIVER, TUMOR, VESSEL
from liver_seg_ros.phantom import Phantom, PhantomOptions, generate_phantom
from liver_seg_ros.phantom.demanding_tumors import draw_demanding_tumors
from liver_seg_ros.phantom.exact_distance import exact_distance
from liver_seg_ros.phantom.insets import imitators, tumor_insets, vein_inset
from liver_seg_ros.phantom.painting import Grid
from liver_seg_ros.phantom.scanner import scanned
from liver_seg_ros.phantom.tumors import LARGEST_MM, SMALLEST_MM, Tumor
from liver_seg_ros.phantom.varied_tumors import draw_varied_tumors
from liver_seg_ros.phantom.vessel_contrast import faded_vein_insets, shares_of_contrast
from liver_seg_ros.phantom.vessel_graph import VesselGraph

SCAN = PhantomOptions(
    size=(94, 84, 72), spacing_mm=(3.0, 3.0, 3.5), phase="portal_venous", tumor_count=5, center_mm=(0.0, 0.0, 0.0),
    variation="varied",
)  # fmt: skip
HEART_SCAN = PhantomOptions(
    size=(70, 60, 50), spacing_mm=(4.0, 4.0, 4.0), phase="arterial", tumor_count=0, center_mm=(30.0, 0.0, 60.0),
    surroundings=True,
)  # fmt: skip


@pytest.fixture(scope="module", params=[3, 4])
def phantom(request: pytest.FixtureRequest) -> Phantom:
    return generate_phantom(request.param, SCAN)


@pytest.mark.parametrize(
    ("seed", "options", "voxels", "mean_hu"),
    [
        (1, PhantomOptions((60, 50, 30), (6, 6, 7)), [80678, 8545, 547, 230], -154.686),
        (9002, PhantomOptions((70, 60, 50), (4, 4, 5), "arterial", 4, 12.0), [182931, 25959, 417, 693], -104.853),
    ],
)
def test_plain_phantoms_are_those_of_the_first_release(
    seed: int, options: PhantomOptions, voxels: list[int], mean_hu: float
) -> None:
    phantom = generate_phantom(seed, options)
    # Another processor may round another way, in a few voxels on a surface.
    np.testing.assert_allclose(np.bincount(phantom.labels.array.ravel(), minlength=4), voxels, atol=3)
    assert phantom.ct.array.mean() == pytest.approx(mean_hu, abs=0.01)


def test_the_same_seed_gives_the_same_voxels_and_others_than_a_plain_one() -> None:
    small = PhantomOptions(size=(60, 50, 30), spacing_mm=(6, 6, 7), variation="varied")
    one, again = generate_phantom(1, small), generate_phantom(1, small)
    assert np.array_equal(one.ct.array, again.ct.array) and np.array_equal(one.labels.array, again.labels.array)
    plain = generate_phantom(1, PhantomOptions(size=(60, 50, 30), spacing_mm=(6, 6, 7)))
    assert one.ct.geometry == plain.ct.geometry and one.phase == plain.phase
    assert np.mean(one.labels.array != plain.labels.array) > 0.003


def test_one_liver_of_human_size(phantom: Phantom) -> None:
    organ = phantom.labels.array > 0
    assert 600 < organ.sum() * phantom.ct.geometry.voxel_volume_mm3 / 1000 < 3600
    sizes = np.sort(np.bincount(cc3d.connected_components(organ).ravel())[1:])
    assert sizes[-1] > 0.98 * sizes.sum()
    assert np.isin(phantom.labels.array, [0, 1, 2, 3]).all()


def test_the_exact_shapes_are_those_that_are_labelled(phantom: Phantom) -> None:
    """The outline as it was changed, capsules around bulging tumors included."""
    organ = exact_distance(phantom, LIVER, phantom.ct.geometry) < 0
    assert np.mean(organ == (phantom.labels.array > 0)) > 0.9999
    tumor = exact_distance(phantom, TUMOR, phantom.ct.geometry) < 0
    assert np.mean(tumor == (phantom.labels.array == TUMOR.value)) > 0.9999


def test_image_and_labels_lie_on_each_other(phantom: Phantom) -> None:
    hu, labels = phantom.ct.array, phantom.labels.array
    assert hu[binary_erosion(labels == 3)].mean() > hu[binary_erosion(labels == 1, iterations=2)].mean() + 5
    outside = binary_erosion(labels == 0, iterations=2)
    assert (hu[outside] < -200).mean() > 0.02  # lung or air


def test_the_heart_has_muscle_and_chambers() -> None:
    """In the arterial phase, where blood is far brighter than muscle; a plain phantom's heart is of one grey."""
    chambers = {}
    for variation in ("plain", "varied"):
        phantom = generate_phantom(3, replace(HEART_SCAN, variation=variation))
        assert phantom.surroundings is not None
        heart = phantom.surroundings.array == HEART.value
        assert 200 < heart.sum() * phantom.ct.geometry.voxel_volume_mm3 / 1000 < 1300
        smooth = gaussian_filter(phantom.ct.array.astype(np.float32), 1.0)
        bright = cc3d.dust(heart & (smooth > np.median(smooth[heart]) + 25), threshold=30)
        chambers[variation] = int(cc3d.connected_components(bright).max())
    assert chambers["plain"] == 0 < 2 < chambers["varied"]


def test_tumors_reach_beyond_the_sizes_of_plain_ones() -> None:
    inside = np.random.default_rng(0).uniform(-70, 70, (4000, 3))
    depth_mm = 70 - np.abs(inside).max(axis=1)
    drawn = [draw_varied_tumors(8, inside, depth_mm, "arterial", np.random.default_rng(seed)) for seed in range(12)]
    tumors = [tumor for some in drawn for tumor in some]
    diameters = np.array([tumor.diameter_mm for tumor in tumors])
    assert 2 < diameters.min() < SMALLEST_MM and LARGEST_MM < diameters.max() <= 110
    assert any(t.bulges for t in tumors) and any(t.mottle_hu for t in tumors)
    assert any(t.inclusion_share and t.inclusion_hu > 200 for t in tumors)


@pytest.fixture(scope="module")
def with_demanding_tumors() -> Phantom:
    return generate_phantom(3, replace(SCAN, variation="varied_tumors", tumor_count=6))


def test_a_phantom_with_varied_tumors_is_plain_everywhere_else(with_demanding_tumors: Phantom) -> None:
    plain = generate_phantom(3, replace(SCAN, variation="plain", tumor_count=0))
    assert with_demanding_tumors.ct.geometry == plain.ct.geometry and with_demanding_tumors.phase == plain.phase
    # Where there is no tumor, nor was there any before, all is the same: body, liver, veins and every voxel's noise.
    other = with_demanding_tumors.labels.array != plain.labels.array
    tumor = with_demanding_tumors.labels.array == TUMOR.value
    assert tumor.sum() > 500 and (tumor | ~other).mean() > 0.9999
    far = ~binary_dilation(tumor | other, iterations=3)
    assert np.array_equal(with_demanding_tumors.ct.array[far], plain.ct.array[far])


def test_demanding_tumors_are_labelled_as_they_were_drawn(with_demanding_tumors: Phantom) -> None:
    exact = exact_distance(with_demanding_tumors, TUMOR, with_demanding_tumors.ct.geometry) < 0
    assert np.mean(exact == (with_demanding_tumors.labels.array == TUMOR.value)) > 0.9999


def test_demanding_tumors_are_large_mottled_and_partly_as_bright_as_the_liver() -> None:
    inside = np.random.default_rng(0).uniform(-70, 70, (4000, 3))
    depth_mm = 70 - np.abs(inside).max(axis=1)
    drawn = [draw_demanding_tumors(4, inside, depth_mm, "portal_venous", np.random.default_rng(n)) for n in range(40)]
    large = [tumor for some in drawn for tumor in some if tumor.diameter_mm >= 45]
    volumes_ml = np.pi / 6 * np.array([tumor.diameter_mm for tumor in large]) ** 3 / 1000
    assert 15 < len(large) < 35 and volumes_ml.min() > 47 and 150 < volumes_ml.max() < 222
    tumors = [tumor for some in drawn for tumor in some]
    assert any(t.mottle_hu > 20 and 88 <= t.inclusion_hu <= 132 and t.inclusion_share > 0.1 for t in tumors)
    assert any(t.necrosis and t.necrosis_hu > 130 for t in tumors) and any(t.necrosis > 0.85 for t in tumors)
    assert any(t.rim_hu > 24 and abs(t.contrast_hu) < 24 for t in tumors)
    assert any(len(some) > 4 for some in drawn)  # parts that run together with what was asked for


def test_the_grain_of_a_tumors_mottles_is_that_asked_for() -> None:
    """Coarse mottles are still there after smoothing, fine ones are not."""
    axis = np.arange(-45.0, 46.0, 1.5)
    grid = Grid(axis, axis, axis, 1)
    ball = Tumor((0, 0, 0), 60.0, -30.0, 0.0, 0.0, 0.0, (30, 30, 30), (0, 0, 0), 5, 0.0, mottle_hu=30.0)
    left = []
    for grain_mm in (2.5, 15.0):
        (inset,) = tumor_insets(grid, (replace(ball, mottle_mm=grain_mm),), 110.0)
        assert inset.texture is not None and inset.texture.std() == pytest.approx(30, rel=0.05)
        left.append(gaussian_filter(inset.texture, 3.5).std())
    assert left[0] < 8 < 20 < left[1]


def test_imitators_are_painted_and_never_labelled(phantom: Phantom) -> None:
    grid = Grid.of(phantom.ct.geometry)
    k, j, i = np.nonzero(phantom.labels.array > 0)
    inside = np.stack([grid.x[i], grid.y[j], grid.z[:: grid.per_slice][k]], axis=1)
    rngs = [np.random.default_rng(n) for n in range(12)]
    drawn = [inset for rng in rngs for inset in imitators(grid, inside, phantom.portal, 100, rng)]
    assert len(drawn) > 10 and {inset.label for inset in drawn} == {LIVER.value}


def test_the_scanner_adds_noise_of_the_strength_asked_for_and_moves_nothing() -> None:
    flat = np.zeros((12, 80, 80), np.int16)
    flat[:, :, 40:] = 100
    spreads = []
    for seed in range(20):
        image = scanned(flat, 12.0, np.random.default_rng(seed)).astype(float)
        profile = gaussian_filter1d(image.mean(axis=(0, 1)), 1.5)
        assert abs(int(np.argmax(np.diff(profile))) - 39) <= 2
        spreads.append(float(np.median(np.abs(image[:, :, :30] - np.median(image[:, :, :30])))) * 1.48)
    assert 10 < np.median(spreads) < 16


def test_another_variation_is_refused() -> None:
    with pytest.raises(InputError, match="choose one of plain, varied"):
        PhantomOptions(variation="wild")  # type: ignore[arg-type]


def test_vessels_fade_toward_their_twigs_and_branches_differ() -> None:
    trunk, wide, twigs = 6.0, 4.0, (2.0, 1.2, 0.8)
    radii, parents = [trunk, wide], [-1, 0]
    for _ in range(40):  # forty branches of three vessels, one behind another
        parents += [1, len(radii), len(radii) + 1]
        radii += twigs
    graph = VesselGraph(np.zeros((len(radii), 3)), np.array(radii), np.array(parents))
    spreads = []
    for seed in range(5):
        shares = shares_of_contrast(graph, np.random.default_rng(seed))
        branches = shares[2:].reshape(40, 3)
        assert shares[0] == shares[1] == 1 and np.all((shares > 0) & (shares <= 1))
        # One power for the tree: the logarithm of the share falls as that of the radius, whatever it began with.
        powers = np.log(branches[:, 1:] / branches[:, :-1]) / np.log(np.divide(twigs[1:], twigs[:-1]))
        np.testing.assert_allclose(powers, powers[0, 0], atol=1e-9)
        assert 0 <= powers[0, 0] <= 0.6
        spreads.append(np.ptp(branches[:, 0]))
    assert min(spreads) > 0 and max(spreads) > 0.2


def test_faint_vessels_are_darker_than_their_trunk_and_labelled_all_the_same() -> None:
    points = np.array([[0.0, 0, 0], [0, 0, 30], [12, 0, 30], [12, 0, 60]])
    graph = VesselGraph(points, np.array([5.0, 5.0, 1.5, 1.5]), np.array([-1, 0, 1, 2]))
    grid = Grid.of(Geometry((40, 30, 70), (1.0, 1.0, 1.0), (-10.0, -15.0, -5.0)))
    insets = faded_vein_insets(grid, graph, 100.0, 180.0, np.random.default_rng(3))
    hu = [inset.hu[0][1] for inset in insets]
    assert hu == sorted(hu) and 100 < hu[0] < hu[-1] == 180  # the faintest is painted first
    assert {inset.label for inset in insets} == {VESSEL.value}
    (whole,) = vein_inset(grid, graph, 180.0)
    together = np.full((70, 30, 40), 99.0)
    for inset in insets:
        part = together[inset.box.slices]
        np.minimum(part, inset.distance, out=part)
    inside = whole.distance < 0
    assert np.array_equal(together[whole.box.slices] < 0, inside)


def test_phantoms_of_faint_vessels_have_more_of_them_thinner_ones_and_else_the_liver_of_varied_ones() -> None:
    options = PhantomOptions(
        (70, 60, 50), (4.0, 4.0, 4.0), "portal_venous", 0, center_mm=(0.0, 0.0, 0.0), variation="varied"
    )
    usual = generate_phantom(7, options)
    thin = generate_phantom(7, replace(options, variation="varied_vessels"))
    assert len(thin.portal.parent) > 1.5 * len(usual.portal.parent)
    assert thin.portal.radius_mm.min() < 0.8 <= usual.portal.radius_mm.min()
    assert thin.portal.radius_mm.max() == usual.portal.radius_mm.max()
    assert np.array_equal(thin.labels.array > 0, usual.labels.array > 0)


def test_phantoms_of_cysts_have_water_in_the_liver_and_are_varied_ones_else() -> None:
    options = PhantomOptions((70, 60, 50), (4.0, 4.0, 4.0), "portal_venous", 2, 5.0, 0.0, (0.0, 0.0, 0.0), "varied")
    usual = generate_phantom(7, options)
    cysts = generate_phantom(7, replace(options, variation="varied_cysts"))
    assert np.array_equal(cysts.labels.array, usual.labels.array)
    darker = cysts.ct.array < usual.ct.array - 40.0
    assert usual.labels.array[darker].all()
    bodies = cc3d.connected_components(darker, connectivity=26)
    darkest = [int(cysts.ct.array[bodies == body].min()) for body in range(1, bodies.max() + 1)]
    assert len(darkest) >= 2
    assert all(-30 < hu < 40 for hu in darkest)


def test_phantoms_of_hypodense_tumors_have_cysts_and_tumors_with_dead_cores_brighter_than_water() -> None:
    options = PhantomOptions(
        (140, 120, 100), (2.0, 2.0, 2.0), "portal_venous", 5, 2.0, 0.0, (0.0, 0.0, 0.0), "varied_hypodense"
    )
    phantom = generate_phantom(7, options)
    assert 3 <= len(phantom.tumors) <= 5
    ct, tumor = phantom.ct.array, phantom.labels.array == TUMOR.value
    assert all(drawn.necrosis > 0.4 and drawn.contrast_hu < 0 for drawn in phantom.tumors)
    for drawn in phantom.tumors:
        if drawn.diameter_mm > 14:  # a smaller core is blurred with its shell
            k, j, i = np.rint(phantom.ct.geometry.lps_to_index([drawn.center_mm])[0][::-1]).astype(int)
            core = np.s_[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2]
            assert tumor[core].all() and 10 < np.median(ct[core]) < 70
    free = (phantom.labels.array == LIVER.value) & ~binary_dilation(tumor, iterations=2)
    water = cc3d.dust((ct < 40) & binary_erosion(free), threshold=100)
    assert cc3d.connected_components(water).max() >= 4  # without more cysts: three
    assert not generate_phantom(7, replace(options, tumor_count=0)).tumors
