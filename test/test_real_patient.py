# SPDX-License-Identifier: Apache-2.0
"""A real patient with contrast, completely labelled, through the DICOM door: CT, masks, and the shipped models on it.

3D-IRCADb-01, patient 17, CC BY-NC-ND 4.0: it is unpacked into a temporary folder, nothing made from it is kept, and no
network may ever see it in training.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from liver_seg_ros.cli import main
from liver_seg_ros.files.found_labels import FoundLabels
from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.files.volumes import read_labels, read_volume
from liver_seg_ros.labels import AORTA, BONE, HEPATIC_ARTERY, HEPATIC_VEIN, PORTAL_VEIN, SEGMENTED, VENA_CAVA
from liver_seg_ros.truth import as_truth

pytestmark = pytest.mark.timeout(600)  # 512x512x119 voxels in a thousand files, on a machine that may be busy


@pytest.fixture(scope="module")
def patient(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`PATIENT_DICOM/` and `MASKS_DICOM/<structure>/`, unpacked; skips where the archive is missing."""
    archive = shared_data / "ircadb01_17" / "original_dicom.tar.gz"
    if not archive.is_file():
        pytest.skip(f"the real patient 3D-IRCADb-01 17 is not at {archive}")
    folder = tmp_path_factory.mktemp("patient")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def masks(patient: Path) -> dict[str, np.ndarray]:
    """Each mask, `(K, J, I)` bool, stacked by the positions in its files and nothing else."""
    found = {}
    for folder in (patient / "MASKS_DICOM").iterdir():
        slices = sorted((dcmread(path) for path in folder.iterdir()), key=lambda s: float(s.ImagePositionPatient[2]))
        found[folder.name] = np.stack([s.pixel_array for s in slices]) > 0
    return found


@pytest.fixture(scope="module")
def found(patient: Path) -> FoundLabels:
    """The masks as this package reads them."""
    return read_label_source(patient)


def test_masks_become_the_structures_they_are_of(found: FoundLabels, masks: dict[str, np.ndarray]) -> None:
    organ = masks["liver"]
    tumor = masks["livertumor1"] | masks["livertumor2"]
    expected = {
        "liver": organ & ~tumor & ~masks["portalvein"] & ~masks["venoussystem"] & ~masks["artery"],
        "tumor": tumor,
        PORTAL_VEIN.name: masks["portalvein"],
        HEPATIC_VEIN.name: masks["venoussystem"] & organ,
        VENA_CAVA.name: masks["venoussystem"] & ~organ,
        HEPATIC_ARTERY.name: masks["artery"] & organ,
        AORTA.name: masks["artery"] & ~organ,
        BONE.name: masks["bone"],
    }
    assert {structure.name for structure in found.labels.structures()} == set(expected)
    for structure in found.labels.structures():
        assert (found.labels.mask(structure.value) == expected[structure.name]).all(), structure.name
    assert found.organ is not None and (found.organ == organ).all()
    assert found.taken_for["skin"] is None


def test_the_truth_is_the_organ_and_what_lies_in_it(
    patient: Path, found: FoundLabels, masks: dict[str, np.ndarray]
) -> None:
    ct, truth = read_volume(patient / "PATIENT_DICOM"), as_truth(found, "masks")
    tumor = masks["livertumor1"] | masks["livertumor2"]
    vessel = (masks["portalvein"] | masks["venoussystem"]) & masks["liver"] & ~tumor
    assert truth.structures == SEGMENTED and truth.labels.geometry.is_same_grid(ct.geometry)
    assert (truth.labels.mask(2) == tumor).all() and (truth.labels.mask(3) == vessel).all()
    assert ((truth.labels.array > 0) == masks["liver"]).all()
    assert truth.labels.counts() == {"liver": 1_867_068, "tumor": 185_990, "vessel": 53_439}
    # Masks and CT show the same places: contrast in the veins, liver less bright than they, tumors less than it.
    hu = [float(np.median(ct.array[truth.labels.mask(structure.value)])) for structure in SEGMENTED]
    assert 50 < hu[1] < hu[0] < hu[2] < 250


def test_the_shipped_models_find_its_liver(
    patient: Path, masks: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["segment", patient / "PATIENT_DICOM", "-o", tmp_path, "--truth", patient / "MASKS_DICOM", "--json"]
    assert main.run([str(argument) for argument in arguments]) == 0
    dice = json.loads(capsys.readouterr().out)["dice"]
    # Networks that never saw a patient: a look at reality (benchmarks/real_patient.py prints it), and far from chance.
    assert dice["liver"] > 0.88 and dice["tumor"] > 0.2 and dice["vessel"] > 0.45
    labels = read_labels(tmp_path / "labels.nii.gz").array
    tumor = masks["livertumor1"] | masks["livertumor2"]
    vessel = (masks["portalvein"] | masks["venoussystem"]) & masks["liver"] & ~tumor
    for name, answer, right in (
        ("liver", labels > 0, masks["liver"]),
        ("tumor", labels == 2, tumor),
        ("vessel", labels == 3, vessel),
    ):
        expected = 2 * np.count_nonzero(answer & right) / (np.count_nonzero(answer) + np.count_nonzero(right))
        assert dice[name] == pytest.approx(expected, abs=1e-4)
