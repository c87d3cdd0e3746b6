# SPDX-License-Identifier: Apache-2.0
"""The exact distances of a phantom say what its labels say, on its grid and between its voxels."""

from __future__ import annotations

import numpy as np
import pytest

from liver_seg_ros.geometry import Box
from liver_seg_ros.labels import BONE, LIVER, SEGMENTED, TUMOR, VESSEL, Structure
from liver_seg_ros.phantom import Phantom, PhantomOptions, generate_phantom
from liver_seg_ros.phantom.exact_distance import exact_distance


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return generate_phantom(9100, PhantomOptions(size=(160, 150, 70), spacing_mm=(2.4, 2.5, 3.6), tumor_count=4))


@pytest.mark.parametrize("structure", SEGMENTED, ids=lambda structure: structure.name)
def test_negative_where_the_label_is(phantom: Phantom, structure: Structure) -> None:
    inside = exact_distance(phantom, structure, phantom.labels.geometry) < 0
    labelled = phantom.labels.array > 0 if structure == LIVER else phantom.labels.mask(structure.value)
    assert labelled.any()
    assert (inside != labelled).sum() <= 1e-4 * labelled.sum()  # rounding on the surface itself


@pytest.mark.parametrize("structure", [LIVER, TUMOR, VESSEL], ids=lambda structure: structure.name)
def test_a_finer_grid_sees_the_same_shape(phantom: Phantom, structure: Structure) -> None:
    box = Box.around(phantom.labels.mask(TUMOR.value))
    assert box is not None
    coarse = phantom.labels.geometry.crop(box)
    fine = coarse.resampled(tuple(s / 3 for s in coarse.spacing_mm))  # every third center is one of the coarse grid's
    np.testing.assert_allclose(
        exact_distance(phantom, structure, fine)[1::3, 1::3, 1::3],
        exact_distance(phantom, structure, coarse),
        atol=2e-3,
    )


def test_other_structures_and_tilted_grids_are_refused(phantom: Phantom) -> None:
    with pytest.raises(ValueError, match="no bone"):
        exact_distance(phantom, BONE, phantom.labels.geometry)
    with pytest.raises(ValueError, match="axis-aligned"):
        exact_distance(phantom, LIVER, phantom.labels.geometry.flip(0))
