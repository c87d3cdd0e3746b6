# SPDX-License-Identifier: Apache-2.0
"""`liver-seg export` and `segment --dicom-seg`: objects of the study, and no patient's name outside of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from liver_seg_ros.cli import main
from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.files.volumes import read_labels, read_volume

PATIENT = "Doe^Unmistakable"


@pytest.fixture(scope="module")
def dicom_ct(tmp_path_factory: pytest.TempPathFactory, draw_body: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Path:
    """The small CT as a DICOM folder."""
    folder = tmp_path_factory.mktemp("dicom") / "ct"
    folder.mkdir()
    hu, _ = draw_body()
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for k, pixels in enumerate(hu):
        dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.PatientName, dataset.PatientID, dataset.Modality = PATIENT, "P-4711", "CT"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 3.0 * k], [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.RescaleSlope, dataset.RescaleIntercept = [3, 3], 1, 0
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.PixelData = pixels.astype(np.int16).tobytes()
        dataset.save_as(folder / f"{k:03}.dcm")
    return folder


def test_labels_go_into_the_study_from_the_networks_and_from_a_file(
    dicom_ct: Path, small_models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found, out = tmp_path / "found", tmp_path / "out"
    segment = ["segment", str(dicom_ct), "-o", str(found), "--models", str(small_models), "--dicom-seg"]
    assert main.run([*segment, "--runtime", "onnxruntime"]) == 0
    assert main.run(["export", str(found / "labels.nii.gz"), "--ct", str(dicom_ct), "-o", str(out), "--json"]) == 0
    said = capfd.readouterr()
    assert "labels.dcm" in said.out and json.loads(said.out.splitlines()[-1])["files"] == [
        "labels.dcm",
        "measurements.dcm",
    ]
    ct, labels = read_volume(dicom_ct), read_labels(found / "labels.nii.gz")
    assert labels.counts()["tumor"] > 0
    for path in (found / "labels.dcm", out / "labels.dcm"):
        assert (read_label_source(path, None, ct.geometry).labels.array == labels.array).all()
        assert dcmread(path).PatientName == PATIENT
    assert _algorithm(found / "labels.dcm") == "nearest-mean-localize, nearest-mean-segment"
    # Objects of the study name the patient; nothing else may.
    written = [*found.rglob("*"), *out.rglob("*")]
    texts = [said.out, said.err, *map(str, written), *(_text(p) for p in written if p.suffix not in (".dcm", ""))]
    assert not [text for text in texts if "unmistakable" in text.lower() or "P-4711" in text]


def test_what_is_no_dicom_is_said_before_the_networks_run(
    small_ct: Path, small_models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ct, labels, out = str(small_ct / "ct.nii.gz"), str(small_ct / "labels.nii.gz"), str(tmp_path / "out")
    assert main.run(["segment", ct, "-o", out, "--models", str(small_models / "none"), "--dicom-seg"]) == 2
    assert "Give the DICOM folder of the CT." in capfd.readouterr().err
    assert main.run(["export", labels, "--ct", ct, "-o", out]) == 2
    assert "Give the DICOM folder of the CT." in capfd.readouterr().err
    assert main.run(["export", labels, "--ct", ct, "-o", out, "--objects", "dvd"]) == 2
    assert main.run(["export", labels, "--ct", ct, "-o", out, "--made", "magic"]) == 2
    assert "'dvd' is nothing to export" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def _algorithm(path: Path) -> str:
    segment: Dataset = dcmread(path).SegmentSequence[0]
    return str(segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName)


def _text(path: Path) -> str:
    return path.read_bytes().decode("latin-1") if path.is_file() else ""
