"""Varied phantoms: their truth is true as well, they go beyond the plain ones, and those are as they always were."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter1d

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import LIVER, TUMOR
from liver_seg_ros.phantom import Phantom, PhantomOptions, generate_phantom
from liver_seg_ros.phantom.exact_distance import exact_distance
from liver_seg_ros.phantom.insets import imitators
from liver_seg_ros.phantom.painting import Grid
from liver_seg_ros.phantom.scanner import scanned
from liver_seg_ros.phantom.tumors import LARGEST_MM, SMALLEST_MM
from liver_seg_ros.phantom.varied_tumors import draw_varied_tumors

SCAN = PhantomOptions(
    size=(94, 84, 72), spacing_mm=(3.0, 3.0, 3.5), phase="portal_venous", tumor_count=5, center_mm=(0.0, 0.0, 0.0),
    variation="varied",
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


def test_tumors_reach_beyond_the_sizes_of_plain_ones() -> None:
    inside = np.random.default_rng(0).uniform(-70, 70, (4000, 3))
    depth_mm = 70 - np.abs(inside).max(axis=1)
    drawn = [draw_varied_tumors(8, inside, depth_mm, "arterial", np.random.default_rng(seed)) for seed in range(12)]
    tumors = [tumor for some in drawn for tumor in some]
    diameters = np.array([tumor.diameter_mm for tumor in tumors])
    assert 2 < diameters.min() < SMALLEST_MM and LARGEST_MM < diameters.max() <= 110
    assert any(t.bulges for t in tumors) and any(t.mottle_hu for t in tumors)
    assert any(t.inclusion_share and t.inclusion_hu > 200 for t in tumors)


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
