# SPDX-License-Identifier: Apache-2.0
"""3D-IRCADb-01: a folder a patient with `PATIENT_DICOM` and `MASKS_DICOM`, unpacked or zipped as distributed.

Portal and hepatic veins inside the organ are the networks' vessels; a patient without one of the two says nothing about
vessels (`truth.as_truth`). Its annotators' names of masks: `files/label_schemes.py`.
"""

from __future__ import annotations

from pathlib import Path

from liver_seg_ros.files.label_folders import IRCADB_MASKS, find_in_folder
from liver_seg_ros.files.label_schemes import IRCADB
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.training.sources.reading import by_number, scan_of, unpacked
from liver_seg_ros.training.sources.subject import Scan, Subject

IMAGES = "PATIENT_DICOM"

#: The archive as a whole unpacks into a folder `3Dircadb1` of folders `3Dircadb1.N`.
_PLACES = ("", "*/", "*/*/")


def looks_like(folder: Path) -> bool:
    """Whether the folder is a patient of 3D-IRCADb, or holds some."""
    return bool(_patients(folder))


def subjects(folder: Path) -> tuple[Subject, ...]:
    """A subject a patient."""
    return tuple(_subject(patient) for patient in _patients(folder))


def _patients(folder: Path) -> list[Path]:
    found = {path.parent for place in _PLACES for path in folder.glob(f"{place}{IMAGES}") if path.is_dir()}
    found |= {path.parent for place in _PLACES for path in folder.glob(f"{place}{IMAGES}.zip")}
    return sorted(found, key=lambda path: by_number(path.name))


def _subject(patient: Path) -> Subject:
    def load() -> Scan:
        with unpacked(patient / IMAGES) as images:
            ct = read_volume(images)
        with unpacked(patient / IRCADB_MASKS) as masks:
            return scan_of(ct, find_in_folder(masks, IRCADB), patient / IRCADB_MASKS)

    name = patient.resolve().name
    places = (patient / f"{part}{suffix}" for part in (IMAGES, IRCADB_MASKS) for suffix in ("", ".zip"))
    return Subject(name, name, tuple(path for path in places if path.exists()), load)
