# SPDX-License-Identifier: Apache-2.0
"""Labels of any tool as the truth that a network's are scored by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.found_labels import FoundLabels
from liver_seg_ros.files.label_schemes import LITS
from liver_seg_ros.files.label_sources import find_labels_in, read_labels_of, scheme_of
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import (
    AORTA,
    HEPATIC_ARTERY,
    HEPATIC_VEIN,
    LIVER,
    PORTAL_VEIN,
    SEGMENTED,
    SPLEEN,
    TUMOR,
    VESSEL,
    Structure,
)
from liver_seg_ros.truth import as_truth, read_truth_of, score
from liver_seg_ros.volume import LabelVolume, Volume

GRID = Geometry((40, 30, 20), (2.0, 2.0, 2.0))
Found = Callable[..., FoundLabels]


@pytest.fixture
def found() -> Found:
    """A liver of 20x20x16 voxels that `inside` runs through and out of, beside a spleen; a tumor in it."""

    def make(*structures: Structure, inside: Structure = VESSEL, organ: bool = False) -> FoundLabels:
        array = np.zeros(GRID.shape, np.uint8)
        array[2:18, 5:25, 5:25] = LIVER.value
        array[10:12, 14:16, 10:35] = inside.value
        array[5:8, 8:12, 8:12] = TUMOR.value
        array[:, :, 37:] = SPLEEN.value
        hull = np.zeros(GRID.shape, bool)
        hull[2:18, 5:25, 5:25] = True
        return FoundLabels(LabelVolume(array, GRID), "a tool", {}, structures, hull if organ else None)

    return make


def test_own_labels_stay_as_they_are(found: Found) -> None:
    labels = found(*SEGMENTED)
    truth = as_truth(labels, "file")
    array = labels.labels.array.copy()
    array[array == SPLEEN.value] = 0
    assert (truth.labels.array == array).all() and truth.structures == SEGMENTED
    assert truth.labels.geometry is GRID and truth.labels.uid == labels.labels.uid


def test_where_masks_overlap_vessels_end_at_the_organ(found: Found) -> None:
    for structures, inside in (
        ((*SEGMENTED, SPLEEN), VESSEL),
        ((LIVER, TUMOR, PORTAL_VEIN, HEPATIC_VEIN), HEPATIC_VEIN),
    ):
        truth = as_truth(found(*structures, inside=inside, organ=True), "folder")
        assert truth.structures == SEGMENTED
        assert truth.labels.counts() == {"liver": 6400 - 60 - 48, "tumor": 48, "vessel": 60}
        assert (truth.labels.mask(VESSEL.value)[10:12, 14:16, 10:25]).all()


def test_veins_told_apart_in_one_file_are_vessels_where_the_liver_encloses_them(found: Found) -> None:
    truth = as_truth(found(LIVER, TUMOR, PORTAL_VEIN, HEPATIC_VEIN, inside=PORTAL_VEIN), "file")
    assert truth.structures == SEGMENTED
    vessel = truth.labels.mask(VESSEL.value)
    assert vessel[:, :, :24].sum() == 56 and not vessel[:, :, 27:].any()  # to a voxel or two beyond the capsule


def test_arteries_are_organ_and_no_vessel(found: Found) -> None:
    truth = as_truth(found(*SEGMENTED, HEPATIC_ARTERY, inside=HEPATIC_ARTERY), "file")
    assert truth.labels.counts()["vessel"] == 0 and (truth.labels.array[10:12, 14:16, 10:24] == LIVER.value).all()


@pytest.mark.parametrize(
    ("structures", "spoken"),
    [
        ((LIVER,), (LIVER,)),
        ((LIVER, PORTAL_VEIN, SPLEEN), (LIVER,)),  # who finds hepatic veins too would seem wrong
        ((LIVER, HEPATIC_VEIN), (LIVER,)),
        ((LIVER, PORTAL_VEIN, HEPATIC_VEIN), (LIVER, VESSEL)),
        ((LIVER, PORTAL_VEIN, VESSEL), (LIVER, VESSEL)),
        ((TUMOR, VESSEL), (TUMOR, VESSEL)),
        ((LIVER, TUMOR), (LIVER, TUMOR)),
    ],
)
def test_only_what_a_source_speaks_about_is_scored(found: Found, structures: tuple, spoken: tuple) -> None:
    truth = as_truth(found(*structures), "file")
    assert truth.structures == spoken
    assert list(score(truth.labels, truth)) == [structure.name for structure in spoken]


def test_without_a_liver_nobody_knows_what_lies_outside(found: Found) -> None:
    truth = as_truth(found(TUMOR, VESSEL), "file")
    assert truth.labels.counts() == {"liver": 0, "tumor": 48, "vessel": 100}


def test_a_source_that_speaks_of_nothing_here(found: Found) -> None:
    with pytest.raises(InputError, match="file: says nothing about liver, tumor, vessel"):
        as_truth(found(SPLEEN, AORTA, PORTAL_VEIN), "file")


def test_labels_and_truth_come_on_the_grid_of_the_ct(tmp_path: Path) -> None:
    """Stored with its first axis the other way round, and in LiTS's numbers."""
    array = np.zeros(GRID.shape, np.uint8)
    array[2:18, 5:25, 5:25], array[5, 6, 7] = 1, 2
    affine = np.diag([2.0, -2.0, 2.0, 1.0])
    affine[0, 3] = -78.0
    image = nibabel.Nifti1Image(array[:, :, ::-1].T, affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "labels.nii.gz")
    ct = Volume(np.zeros(GRID.shape, np.int16), GRID, uid="1.2.3")
    read = read_labels_of(ct, tmp_path / "labels.nii.gz", "lits")
    truth = read_truth_of(ct, tmp_path / "labels.nii.gz", "lits")
    assert (read.array == array).all() and (truth.labels.array == array).all()
    assert read.uid == truth.labels.uid == "1.2.3" and truth.structures == (LIVER, TUMOR)
    assert find_labels_in(tmp_path / "labels.nii.gz", "lits").source == LITS.about
    assert scheme_of("lits") is LITS and scheme_of(None) is None
