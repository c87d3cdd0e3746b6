# SPDX-License-Identifier: Apache-2.0
"""`--acquisition` on every command that reads a CT."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from liver_seg_ros.cli import main


@pytest.fixture(scope="module")
def two_phases(tmp_path_factory: pytest.TempPathFactory, draw_body: Callable) -> Path:
    """A DICOM series of the small CT as two acquisitions at the same places, the second 20 HU brighter."""
    folder = tmp_path_factory.mktemp("two_phases")
    ct = draw_body()[0]
    series, frame, study = generate_uid(), generate_uid(), generate_uid()
    for number, brighter in ((5, 0), (6, 20)):
        for k, array in enumerate(ct):
            part = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
            part.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            part.SOPClassUID = part.file_meta.MediaStorageSOPClassUID = CTImageStorage
            part.SOPInstanceUID = part.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            part.SeriesInstanceUID, part.FrameOfReferenceUID, part.StudyInstanceUID = series, frame, study
            part.Modality, part.AcquisitionNumber, part.ContrastBolusAgent = "CT", number, "Omnipaque"
            part.ImageOrientationPatient, part.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-95, -83, -59 + 3 * k]
            part.PixelSpacing, (part.Rows, part.Columns) = [3, 3], array.shape
            part.SamplesPerPixel, part.PhotometricInterpretation = 1, "MONOCHROME2"
            part.BitsAllocated, part.BitsStored, part.HighBit, part.PixelRepresentation = 16, 16, 15, 1
            part.RescaleSlope, part.RescaleIntercept = 1, 0
            part.PixelData = (array + brighter).astype("<i2").tobytes()
            part.save_as(folder / f"{number}_{k}.dcm", enforce_file_format=True)
    return folder


COMMANDS = {
    "segment": ("segment", "CT", "-o", "OUT"),
    "render": ("render", "CT", "LABELS", "-o", "OUT"),
    "reconstruct": ("reconstruct", "LABELS", "--ct", "CT", "-o", "OUT"),
    "measure": ("measure", "LABELS", "--ct", "CT"),
    "plan": ("plan", "LABELS", "--ct", "CT", "-o", "OUT"),
    "territories": ("territories", "LABELS", "--ct", "CT", "-o", "OUT"),
    "info": ("info", "CT"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_two_acquisitions_are_named_and_one_is_chosen(
    two_phases: Path, small_ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    places = {"CT": two_phases, "LABELS": small_ct / "labels.nii.gz", "OUT": tmp_path / "out"}
    words = [str(places.get(word, word)) for word in COMMANDS[name]]
    assert main.run(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    for part in (
        "choose one with --acquisition",
        "5 (40 slices, acquisition number 5, contrast Omnipaque)",
        "6 (40 slices, acquisition number 6, contrast Omnipaque)",
    ):
        assert part in line
    assert main.run([*words, "--acquisition", "9"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "has no acquisition 9; there is 5 (40 slices" in line
    assert not (tmp_path / "out").exists()


def test_the_chosen_acquisition_is_read(
    two_phases: Path, small_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, brightest in ((5, 230), (6, 250)):
        words = ["info", str(two_phases), "--acquisition", str(number), "--models", str(small_models), "--json"]
        assert main.run(words) == 0
        assert json.loads(capsys.readouterr().out)["file"]["hu_max"] == brightest


def test_measure_takes_the_chosen_acquisition(
    two_phases: Path, small_ct: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["measure", str(small_ct / "labels.nii.gz"), "--json"]
    assert main.run([*words, "--ct", str(two_phases), "--acquisition", "6"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main.run([*words, "--acquisition", "6"]) == 2
    assert "none is given" in capsys.readouterr().err
