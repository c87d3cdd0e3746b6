# SPDX-License-Identifier: Apache-2.0
"""Gaps of small labels of any shape, against all pairs of faces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import BILE_DUCT, LIVER, PORTAL_VEIN, TUMOR, VENA_CAVA, VESSEL
from liver_seg_ros.reconstruction.masks import PAD, StructureMask, structure_mask
from liver_seg_ros.reconstruction.measuring import lesion_gaps as gaps_module
from liver_seg_ros.reconstruction.measuring.lesion_gaps import BLOOD_VESSELS, lesion_gaps
from liver_seg_ros.reconstruction.parts import lesions, surface_points
from liver_seg_ros.volume import LabelVolume

SPACING_MM = (0.8, 1.1, 2.5)
SEEDS = st.integers(0, 2**32 - 1)
ANY_NEIGHBOR = np.ones((3, 3, 3))


def labels(seed: int) -> LabelVolume:
    """A liver that fills most of a small scan, with lesions and vessels of one voxel or a few, also outside of it."""
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(5, 12, 3))
    array = np.zeros(shape, np.uint8)
    low, high = random.integers(0, 3, 3), np.array(shape) - random.integers(0, 3, 3)
    array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = LIVER.value
    for structure in (TUMOR, VESSEL, TUMOR, PORTAL_VEIN, BILE_DUCT, VENA_CAVA):
        start = random.integers(0, shape)
        array[tuple(slice(a, a + n) for a, n in zip(start, random.integers(1, 4, 3), strict=True))] = structure.value
    return LabelVolume(array, Geometry(shape[::-1], SPACING_MM, (3.0, -4.0, 50.0)))


def faces_mm(mask: NDArray[np.bool_], geometry: Geometry, at_border: bool = True) -> NDArray[np.float64]:
    """Centers of the faces between a voxel of the mask and one that is not; those at the scan's border too."""
    outside = np.pad(~mask, 1, constant_values=at_border)
    found = []
    for axis in range(3):
        for step in (-1, 1):
            beyond = np.roll(outside, -step, axis)[1:-1, 1:-1, 1:-1]
            index = np.argwhere(mask & beyond)[:, ::-1].astype(float)
            index[:, 2 - axis] += step / 2
            found.append(index)
    return geometry.index_to_lps(np.concatenate(found))


@settings(max_examples=120)
@given(seed=SEEDS, reach_mm=st.sampled_from([0.5, 2.0, 10.0]))
def test_gaps_are_those_of_all_pairs_of_faces(seed: int, reach_mm: float) -> None:
    scan = labels(seed)
    numbers, count = ndimage.label(scan.array == TUMOR.value, ANY_NEIGHBOR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaps_module, "_FIRST_REACH_MM", reach_mm)
        found = lesion_gaps(scan)
    assert len(found) == count == len(lesions(scan))
    organ = structure_mask(scan, LIVER)
    whole = np.zeros(scan.array.shape, bool)
    if organ is not None:
        in_scan, own = scan.geometry.shared_with(organ.geometry)
        whole[in_scan.slices] = ndimage.binary_fill_holes(organ.array)[own.slices]
    capsule_mm = faces_mm(whole, scan.geometry, at_border=False)
    diagonal_mm = float(np.linalg.norm(SPACING_MM))
    sizes = [np.count_nonzero(numbers == number) for number in range(1, count + 1)]
    assert sorted(sizes, reverse=True) == [np.count_nonzero(lesion.array) for lesion in lesions(scan)]
    for gaps, lesion in zip(found, lesions(scan), strict=True):
        index = np.rint(scan.geometry.lps_to_index(lesion.geometry.index_to_lps(np.argwhere(lesion.array)[:, ::-1])))
        mask = np.zeros(scan.array.shape, bool)
        mask[tuple(index.astype(int)[:, ::-1].T)] = True
        surface_mm = faces_mm(mask, scan.geometry)

        nearest = {
            structure: cdist(surface_mm, faces_mm(scan.array == structure.value, scan.geometry)).min()
            for structure in BLOOD_VESSELS
            if (scan.array == structure.value).any()
        }
        assert (gaps.to_vessel is None) == (not nearest)
        if gaps.to_vessel is not None:
            assert gaps.to_vessel.distance_mm == pytest.approx(min(nearest.values()), abs=1e-5)
            assert nearest[gaps.to_vessel.structure] == pytest.approx(min(nearest.values()), abs=1e-9)

        touches = (ndimage.binary_dilation(mask, ANY_NEIGHBOR) & (scan.array == LIVER.value)).any()
        assert (gaps.to_capsule is not None) == (touches and len(capsule_mm) > 0)
        if gaps.to_capsule is not None:
            assert gaps.to_capsule.structure == LIVER
            assert gaps.to_capsule.distance_mm == pytest.approx(cdist(surface_mm, capsule_mm).min(), abs=1e-5)

        for gap in (gaps.to_vessel, gaps.to_capsule):
            if gap is not None:
                start, end = (np.array(at) for at in (gap.from_mm, gap.to_mm))
                assert np.linalg.norm(end - start) == pytest.approx(gap.distance_mm, abs=1e-5)
                assert np.linalg.norm(surface_mm - start, axis=1).min() < 1e-6
                assert gap.uncertainty_mm == pytest.approx(diagonal_mm)

        at = np.argwhere(mask)
        assert gaps.touches_border == ((at == 0).any() or (at == np.array(mask.shape) - 1).any())


def test_only_the_largest_are_measured_where_so_many_are_asked_for() -> None:
    array = np.full((9, 9, 9), LIVER.value, np.uint8)
    array[2:4, 2:4, 2:4], array[6, 6, 6], array[7, 2, 2] = TUMOR.value, TUMOR.value, TUMOR.value
    scan = LabelVolume(array, Geometry((9, 9, 9)))
    assert [len(lesion_gaps(scan, count=count)) for count in (0, 1, 2, 3, 4, None)] == [0, 1, 2, 3, 3, 3]
    assert lesion_gaps(scan, count=1) == lesion_gaps(scan)[:1]
    assert PAD == 1


def test_around_a_lesion_no_more_is_looked_at_than_its_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.full((60, 60, 60), LIVER.value, np.uint8)
    array[28:32, 28:32, 28:32], array[30, 30, 5:12] = TUMOR.value, VESSEL.value
    looked_at = []

    def counted(mask: StructureMask, *more: int) -> NDArray[np.float64]:
        looked_at.append(mask.array.size)
        return surface_points(mask, *more)

    monkeypatch.setattr(gaps_module, "surface_points", counted)
    [lesion] = lesion_gaps(LabelVolume(array, Geometry((60, 60, 60))))
    assert lesion.to_vessel is not None and lesion.to_vessel.distance_mm == 16.0
    assert lesion.to_capsule is None  # the scan's border is no capsule
    array[:, :, 50:] = 0
    looked_at.clear()
    [lesion] = lesion_gaps(LabelVolume(array, Geometry((60, 60, 60))))
    assert lesion.to_capsule is not None and lesion.to_capsule.distance_mm == 18.0
    assert max(looked_at) < 60**3 / 2


def test_bile_is_no_blood_and_the_cava_is_a_vessel() -> None:
    assert {structure.name for structure in BLOOD_VESSELS} == {
        "vessel", "portal_vein", "hepatic_vein", "hepatic_artery", "vena_cava",
    }  # fmt: skip
