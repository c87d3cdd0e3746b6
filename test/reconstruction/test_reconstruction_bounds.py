# SPDX-License-Identifier: Apache-2.0
"""Labels that are noise: what is measured of them stays right, and what it takes stays bounded."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist, pdist

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.reconstruction import masks, parts
from liver_seg_ros.reconstruction.components import affordable, connected_components
from liver_seg_ros.reconstruction.masks import StructureMask, structure_mask
from liver_seg_ros.reconstruction.measuring import diameters, lesion_gaps, structures
from liver_seg_ros.reconstruction.measuring.diameters import farthest_mm
from liver_seg_ros.reconstruction.measuring.structures import measure
from liver_seg_ros.reconstruction.parts import cell_edge, connected_parts, lesions, surface_points
from liver_seg_ros.volume import LabelVolume

SEEDS = st.integers(0, 2**32 - 1)
ANY_NEIGHBOR = np.ones((3, 3, 3))
SPACING_MM = (0.8, 1.1, 2.5)


def noise(seed: int, values: tuple[int, ...] = (0, 1, 2, 3)) -> LabelVolume:
    """Labels without any order, or with blobs."""
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(2, 14, 3))
    blurred = ndimage.gaussian_filter(random.normal(size=shape), random.choice([0, 0, 0.7, 1.5]))
    ranks = blurred.reshape(-1).argsort().argsort().reshape(shape) * len(values) // blurred.size
    array = random.permutation(np.array(values, np.uint8))[ranks]
    return LabelVolume(array, Geometry(shape[::-1], SPACING_MM))


def numbered_lesions(labels: LabelVolume) -> tuple[NDArray[np.int32], list[int]]:
    """Each lesion's number in an array, and the numbers, most voxels first, by another library."""
    numbers, count = ndimage.label(labels.array == TUMOR.value, ANY_NEIGHBOR)
    return numbers, sorted(range(1, count + 1), key=lambda number: -np.count_nonzero(numbers == number))


def diameter_mm(mask: NDArray[np.bool_]) -> float:
    """The largest distance between centers of faces, from all pairs."""
    faces = np.concatenate([np.eye(3), -np.eye(3)]) / 2
    return float(pdist((np.argwhere(mask)[:, ::-1][:, None] + faces).reshape(-1, 3) * SPACING_MM).max())


@settings(max_examples=60)
@given(seed=SEEDS, count=st.integers(1, 60), round_body=st.booleans())
def test_the_farthest_of_any_points_is_that_of_all_pairs(seed: int, count: int, round_body: bool) -> None:
    random = np.random.default_rng(seed)
    points = random.normal(size=(count, 3)) * random.choice([0.0, 1.0, 9.0], 3)
    if round_body:
        points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diameters, "_MOST_DISTANCES", int(random.integers(1, 500)))
        found = farthest_mm(points)
    assert found == pytest.approx(max(pdist(points), default=0.0), abs=1e-12)


def test_a_ball_of_many_corners_takes_few_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hull has thousands of corners, all about as far from each other: all pairs would fill gigabytes."""
    taken = []

    def counted(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
        taken.append(len(some) * len(others))
        return cdist(some, others)

    monkeypatch.setattr(diameters, "cdist", counted)
    k, j, i = np.ogrid[:101, :101, :101]
    ball = (k - 50) ** 2 + (j - 50) ** 2 + (i - 50) ** 2 <= 50**2
    assert diameters.largest_diameter_mm(ball, (1.0, 1.0, 1.0)) == pytest.approx(101)
    assert max(taken, default=0) <= diameters._MOST_DISTANCES and sum(taken) < 5_000_000


def test_a_body_with_no_farthest_places_takes_bounded_distances_and_says_what_it_may_have_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every place near a corner of a tetrahedron is as far from all near the other three: a ball rules nothing out."""
    random = np.random.default_rng(0)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 100.0
    points = np.repeat(corners, 500, axis=0) + random.normal(size=(2000, 3))
    taken = []

    def counted(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
        taken.append(len(some) * len(others))
        return cdist(some, others)

    truth = float(cdist(points, points).max())
    monkeypatch.setattr(diameters, "cdist", counted)
    assert diameters.farthest(points) == (pytest.approx(truth), 0.0) and sum(taken) > 1_000_000
    taken.clear()
    monkeypatch.setattr(diameters, "_MOST_DISTANCES", 20_000)
    monkeypatch.setattr(diameters, "_MOST_PAIRS", 100_000)
    found_mm, more_mm = diameters.farthest(points)
    assert sum(taken) <= 120_000 and more_mm > 0
    assert found_mm <= truth <= found_mm + more_mm


def test_vessels_are_enclosed_alike_by_trees_and_by_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(4).choice([0, 1, 1, 1, 3], (24, 25, 26)).astype(np.uint8)
    labels = LabelVolume(array, Geometry((26, 25, 24), SPACING_MM))
    by_trees = structure_mask(labels, LIVER).array
    monkeypatch.setattr(masks, "_MOST_IN_TREES", 0)
    assert np.array_equal(by_trees, structure_mask(labels, LIVER).array)


@settings(max_examples=60)
@given(seed=SEEDS)
def test_vessels_are_enclosed_where_liver_is_nearer_whichever_way_it_is_found(seed: int) -> None:
    labels = noise(seed, (0, 1, 2, 3, 1, 1, 1, 1))
    if not ((labels.array == LIVER.value) | (labels.array == TUMOR.value)).any():
        return
    organ = structure_mask(labels, LIVER)
    start = np.rint(labels.geometry.lps_to_index(organ.geometry.origin_mm)).astype(int)[::-1] + masks.PAD
    inner = organ.array[1:-1, 1:-1, 1:-1]
    crop = labels.array[tuple(slice(a, a + n) for a, n in zip(start, inner.shape, strict=True))]
    around = np.pad(crop, 1)
    near = [
        cKDTree(np.argwhere(kind) * SPACING_MM[::-1])
        for kind in ((around == LIVER.value) | (around == TUMOR.value), around == 0)
    ]
    vessel = np.argwhere(around == VESSEL.value)
    to_organ, to_outside = (tree.query(vessel * SPACING_MM[::-1])[0] for tree in near)
    enclosed = inner[tuple((vessel - 1).T)]
    sure = np.abs(to_organ - to_outside) > 1e-4  # equal ones are rounded either way
    np.testing.assert_array_equal(enclosed[sure], (to_organ < to_outside)[sure])


def test_single_vessels_are_looked_at_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    real = masks._nearer_to_organ

    def counted(crop: NDArray[np.uint8], window: masks.Box, *more: object) -> object:
        looked_at.append(int(np.prod(window.size)))
        return real(crop, window, *more)

    monkeypatch.setattr(masks, "_nearer_to_organ", counted)
    array = np.full((90, 90, 90), LIVER.value, np.uint8)
    array[40, 40, 10], array[42, 40, 70:74], array[10:30, 10:30, 0] = VESSEL.value, VESSEL.value, 0
    array[20, 20, 1:3] = VESSEL.value  # between the outside and the liver
    organ = structure_mask(LabelVolume(array, Geometry((90, 90, 90))), LIVER).array[1:-1, 1:-1, 1:-1]
    assert organ[40, 40, 10] and organ[42, 40, 70:74].all() and organ[20, 20, 2] and organ[20, 20, 1]
    assert len(looked_at) == 3 and max(looked_at) < 30**3
    array[30:75, 30:75, 30:75] = VESSEL.value  # thicker than what is looked at around it: then all is looked at
    organ = structure_mask(LabelVolume(array, Geometry((90, 90, 90))), LIVER).array[1:-1, 1:-1, 1:-1]
    assert organ[52, 52, 52] and looked_at[-1] == 90**3


@settings(max_examples=40)
@given(seed=SEEDS)
def test_parts_are_those_of_another_library_largest_first(seed: int) -> None:
    labels = noise(seed)
    numbers, order = numbered_lesions(labels)
    found = lesions(labels)
    assert len(found) == len(order) and bool(found) is bool(order)
    sizes = [np.count_nonzero(part.array) for part in found]
    assert sizes == [np.count_nonzero(numbers == number) for number in order]
    for part, size in zip(found, found.sizes, strict=True):
        assert part.array.shape == tuple(size[::-1] + 2)
        points = np.rint(labels.geometry.lps_to_index(parts.voxel_points(part))).astype(int)
        assert len(set(numbers[tuple(points[:, ::-1].T)].tolist())) == 1


@settings(max_examples=40)
@given(seed=SEEDS, cell=st.integers(2, 5))
def test_thinned_surfaces_stand_for_every_face_and_for_nothing_else(seed: int, cell: int) -> None:
    mask = structure_mask(noise(seed, (0, 2)), TUMOR)
    exact, thinned = surface_points(mask), surface_points(mask, cell)
    error_mm = cell / 2 * np.linalg.norm(SPACING_MM) + 1e-9
    assert cKDTree(thinned).query(exact)[0].max() <= error_mm
    assert cKDTree(exact).query(thinned)[0].max() <= error_mm
    assert len(thinned) <= np.prod([ceil(n / cell) for n in mask.array.shape])


def test_a_surface_is_thinned_only_where_it_has_too_many_faces() -> None:
    k, j, i = np.indices((160, 160, 160))
    ball = (k - 80) ** 2 + (j - 80) ** 2 + (i - 80) ** 2 < 70**2
    geometry = Geometry((160, 160, 160))
    assert parts.MOST_FACES == 2_000_000
    assert cell_edge(StructureMask(TUMOR, ball, geometry)) == 1
    checks = StructureMask(TUMOR, (k + j + i) % 2 == 0, geometry)  # 12 million faces
    cell = cell_edge(checks)
    assert cell == 2 and len(surface_points(checks, cell)) <= parts.MOST_FACES


@settings(max_examples=40)
@given(seed=SEEDS)
def test_distances_from_thinned_surfaces_are_right_within_their_uncertainty(seed: int) -> None:
    labels = noise(seed, (0, 1, 2, 3, 0, 1))
    exact = measure(labels)[1].parts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "MOST_FACES", 10)
        thinned = measure(labels)[1].parts
    for one, other in zip(exact, thinned, strict=True):
        assert one.touches_border == other.touches_border
        for gap, rough in ((one.to_vessel, other.to_vessel), (one.to_capsule, other.to_capsule)):
            assert (gap is None) == (rough is None)
            if gap is not None and rough is not None:
                wider_mm = rough.uncertainty_mm - gap.uncertainty_mm
                assert wider_mm >= 0 and abs(gap.distance_mm - rough.distance_mm) <= wider_mm + 1e-5


@settings(max_examples=60)
@given(seed=SEEDS)
def test_what_is_measured_of_noise_is_right_and_the_rest_is_said(seed: int) -> None:
    labels = noise(seed)
    numbers, order = numbered_lesions(labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structures, "MOST_LESIONS", 5)
        tumor = measure(labels)[1]
    assert tumor.count == len(order)
    assert len(tumor.parts) == min(5, len(order))
    assert tumor.volume_ml == pytest.approx(np.count_nonzero(numbers) * np.prod(SPACING_MM) / 1000)
    for part, number in zip(tumor.parts, order, strict=False):
        assert part.volume_ml == pytest.approx(np.count_nonzero(numbers == number) * np.prod(SPACING_MM) / 1000)
    diameters_mm = [diameter_mm(numbers == number) for number in order]
    voxel_mm = float(np.linalg.norm(SPACING_MM))
    truth_mm = max(diameters_mm, default=0.0)
    assert tumor.largest_diameter_mm <= truth_mm + 1e-9
    assert truth_mm <= tumor.largest_diameter_mm + max(0.0, tumor.diameter_uncertainty_mm - voxel_mm) + 1e-9
    if len(order) <= 5:
        assert tumor.diameter_uncertainty_mm == pytest.approx(voxel_mm if order else 0.0)
        assert tumor.largest_diameter_mm == pytest.approx(truth_mm)


@settings(max_examples=30)
@given(seed=SEEDS)
def test_random_labels_never_make_measuring_explode(seed: int) -> None:
    """Counted, not timed: the parts that are cut out, their voxels, and the points of a surface."""
    labels = noise(seed, (0, 2, 3))
    parts_cut: list[int] = []
    points: list[int] = []

    def counting(real: Callable[..., Any], into: list[int], size: Callable[[Any], int]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            found = real(*arguments)
            into.append(size(found))
            return found

        return counted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structures, "MOST_LESIONS", 5)
        patch.setattr(parts, "MOST_FACES", 300)
        cut = counting(parts.Parts.__getitem__, parts_cut, lambda part: np.prod(np.array(part.array.shape) - 2))
        patch.setattr(parts.Parts, "__getitem__", cut)
        patch.setattr(lesion_gaps, "surface_points", counting(surface_points, points, len))
        measure(labels)
    # Of three structures the largest diameters in space and in slices; lesions one by one, and once more for the gaps.
    searches = 3 * 2 + 2
    padded = np.prod(np.array(labels.array.shape) + 2)
    assert len(parts_cut) <= searches * 5
    assert sum(parts_cut) <= searches * (structures._MOST_BOXES + 1) * padded
    assert max(points, default=0) <= 300


def test_parts_that_reach_through_each_other_are_not_all_cut_out() -> None:
    """Oblique planes through a cube: the boxes of most are nearly as large as the cube."""
    k, j, i = np.indices((40, 40, 40))
    array = np.where((k + j + i) % 4 == 0, np.uint8(TUMOR.value), np.uint8(0))
    found = connected_parts(structure_mask(LabelVolume(array, Geometry((40, 40, 40))), TUMOR))
    tumor = measure(LabelVolume(array, Geometry((40, 40, 40))))[1]
    assert tumor.count == len(found) == 30
    assert found.sizes.prod(axis=1).sum() > 4 * 42**3
    assert 4 <= len(tumor.parts) < 30


def test_how_many_parts_are_affordable() -> None:
    sizes = np.array([[10, 10, 10], [5, 5, 4], [1, 1, 1], [1, 1, 1]])
    assert affordable(sizes, 200, 10_000) == 4
    assert affordable(sizes, 3, 10_000) == 3
    assert affordable(sizes, 200, 1100) == 2 and affordable(sizes, 200, 1099) == 1 and affordable(sizes, 200, 999) == 0
    assert structures.MOST_LESIONS == 200


def test_boxes_of_components_are_in_file_order() -> None:
    array = np.zeros((4, 6, 8), bool)
    array[1:3, 2:6, 7] = True
    found = connected_components(array)
    assert (len(found), found.box(0).start, found.box(0).stop) == (1, (7, 2, 1), (8, 6, 3))
    assert found.voxels.tolist() == [8] and found.sizes.tolist() == [[1, 4, 2]]
