# SPDX-License-Identifier: Apache-2.0
"""Small CT series as DICOM, and dcmtk's programs, for tests of what receives them."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

#: How long anything may take on a slow machine.
LONG_S = 90.0
PATIENT = "Doe^Unmistakable"


def slices(count: int = 6, announce: bool = False) -> list[FileDataset]:
    """A CT series of small slices; with `announce` each says how many there are."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    made = []
    for k in range(count):
        dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.PatientName, dataset.PatientID, dataset.Modality = PATIENT, "P-4711", "CT"
        dataset.StudyDate, dataset.AccessionNumber = "20260105", "A77"
        dataset.InstanceNumber, dataset.AcquisitionNumber = k + 1, 1
        if announce:
            dataset.ImagesInAcquisition = count
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 5.0 * k], [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.RescaleSlope, dataset.RescaleIntercept = [4, 4], 1, 0
        dataset.Rows, dataset.Columns = 16, 20
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.PixelData = np.random.default_rng(k).normal(40, 20, (16, 20)).astype(np.int16).tobytes()
        made.append(dataset)
    return made


def saved(folder: Path, datasets: list[FileDataset]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(datasets):
        dataset.save_as(folder / f"{number:03}.dcm")
    return folder


@cache
def _of_dcmtk(program: str) -> str:
    for folder in os.get_exec_path():
        path = shutil.which(program, path=folder)
        if path is not None and "$dcmtk" in subprocess.run([path, "--version"], capture_output=True, text=True).stdout:
            return path
    raise FileNotFoundError(f"dcmtk's {program}: run `make setup-dev`")


def dcmtk(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs one of dcmtk's programs, which `make setup-dev` installs.

    pynetdicom, which is what is tested, brings programs of the same names, before the system's on the path.
    """
    command = [_of_dcmtk(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LONG_S, check=False)
