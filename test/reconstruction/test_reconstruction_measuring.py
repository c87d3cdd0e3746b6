# SPDX-License-Identifier: Apache-2.0
"""What is measured of small labels of any shape, against their voxels counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import pdist

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import TUMOR, VESSEL
from liver_seg_ros.reconstruction.measuring import structures
from liver_seg_ros.reconstruction.measuring.structures import measure
from liver_seg_ros.volume import LabelVolume

SPACING_MM = (0.8, 1.1, 2.5)
VOXEL_ML = 0.8 * 1.1 * 2.5 / 1000
ANY_NEIGHBOR = np.ones((3, 3, 3))
FACES = np.concatenate([np.eye(3), -np.eye(3)]) / 2


def uncertainty_ml(mask: NDArray[np.bool_]) -> float:
    """Half the voxels that share a face with the mask, beyond the scan's border too."""
    padded = np.pad(mask, 1)
    return float(np.count_nonzero(ndimage.binary_dilation(padded) & ~padded) / 2 * VOXEL_ML)


def diameter_mm(mask: NDArray[np.bool_]) -> float:
    return float(pdist((np.argwhere(mask)[:, None, ::-1] + FACES).reshape(-1, 3) * SPACING_MM).max())


@settings(max_examples=80)
@given(seed=st.integers(0, 2**32 - 1))
def test_volumes_counts_places_and_diameters_are_those_of_the_voxels(seed: int) -> None:
    random = np.random.default_rng(seed)
    array = random.choice(np.array([0, 1, 2, 3], np.uint8), random.integers(1, 8, 3), p=[0.5, 0.2, 0.2, 0.1])
    labels = LabelVolume(array, Geometry(array.shape[::-1], SPACING_MM, (3.0, -4.0, 50.0)))
    measured = {measurement.structure: measurement for measurement in measure(labels)}
    for structure in (TUMOR, VESSEL):
        mask = array == structure.value
        numbers, count = ndimage.label(mask, ANY_NEIGHBOR)
        found = measured[structure]
        assert found.count == count
        assert found.volume_ml == pytest.approx(np.count_nonzero(mask) * VOXEL_ML)
        each_mm = [diameter_mm(numbers == number) for number in range(1, count + 1)]
        assert found.largest_diameter_mm == pytest.approx(max(each_mm, default=0.0))
        if count:
            assert found.volume_uncertainty_ml == pytest.approx(uncertainty_ml(mask))
            assert found.diameter_uncertainty_mm == pytest.approx(np.linalg.norm(SPACING_MM))
    order = sorted(range(1, numbers_of(array)[1] + 1), key=lambda n: -np.count_nonzero(numbers_of(array)[0] == n))
    assert len(measured[TUMOR].parts) == len(order)
    for part, number in zip(measured[TUMOR].parts, order, strict=True):
        mask = numbers_of(array)[0] == number
        assert part.volume_ml == pytest.approx(np.count_nonzero(mask) * VOXEL_ML)
        assert part.volume_uncertainty_ml == pytest.approx(uncertainty_ml(mask))
        assert part.largest_diameter_mm == pytest.approx(diameter_mm(mask))
        assert part.diameter_uncertainty_mm == pytest.approx(np.linalg.norm(SPACING_MM))
        places = labels.geometry.index_to_lps(np.argwhere(mask)[:, ::-1])
        assert part.center_mm == pytest.approx(places.mean(axis=0))


def numbers_of(array: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    """The lesions' numbers, in the order in which they come, and how many there are."""
    return ndimage.label(array == TUMOR.value, ANY_NEIGHBOR)


def test_the_longest_part_need_not_have_the_largest_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three arms in a box of 10 mm, and a longer diagonal in one of 9 mm; if only one is looked at, it is said."""
    array = np.zeros((11, 11, 30), np.uint8)
    array[:10, 0, 0] = array[0, :10, 0] = array[0, 0, :10] = TUMOR.value
    array[np.arange(9), np.arange(9), 20 + np.arange(9)] = TUMOR.value
    labels = LabelVolume(array, Geometry((30, 11, 11)))
    arms_mm, diagonal_mm = (
        float(pdist((np.argwhere(mask)[:, None, ::-1] + FACES).reshape(-1, 3)).max())
        for mask in (array[:, :, :10] > 0, array[:, :, 20:] > 0)
    )
    assert arms_mm < diagonal_mm
    tumor = measure(labels)[1]
    assert (tumor.largest_diameter_mm, tumor.diameter_uncertainty_mm) == (
        pytest.approx(diagonal_mm),
        pytest.approx(3**0.5),
    )
    monkeypatch.setattr(structures, "MOST_LESIONS", 1)
    tumor = measure(labels)[1]
    assert tumor.largest_diameter_mm == pytest.approx(arms_mm)
    assert tumor.diameter_uncertainty_mm == pytest.approx(3**0.5 + 9 * 3**0.5 - arms_mm)
