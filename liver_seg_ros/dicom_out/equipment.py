# SPDX-License-Identifier: Apache-2.0
"""What every object says of who made it, and how its series is called."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from highdicom import UID, AlgorithmIdentificationSequence
from pydicom import Dataset
from pydicom.sr.codedict import codes

from liver_seg_ros import __version__

NAME = "liver_seg_ros"
#: The same in every object: which program it was, not which run (DICOM PS3.5 B.2, a UID of a UUID).
DEVICE_UID = f"2.25.{uuid5(NAMESPACE_DNS, NAME).int}"
#: At the end of each series' description; a viewer shows it.
NOT_CLINICAL = "not for clinical use"
_MOST_CHARACTERS = 64  # of a value of type LO


class Made(Enum):
    """How labels came about, in DICOM's words."""

    AUTOMATIC = "AUTOMATIC"
    SEMIAUTOMATIC = "SEMIAUTOMATIC"
    MANUAL = "MANUAL"


@dataclass(frozen=True)
class Maker:
    """Who made the labels.

    Attributes:
        how: by a program alone, with its help, or by hand.
        name, version: of the program or its networks; "" where that is not known.
    """

    how: Made = Made.AUTOMATIC
    name: str = ""
    version: str = ""

    @property
    def algorithm(self) -> AlgorithmIdentificationSequence | None:
        """As a segment names it; None for what was drawn by hand."""
        if self.how is Made.MANUAL:
            return None
        return AlgorithmIdentificationSequence(
            (self.name or "not known")[:_MOST_CHARACTERS],
            family=codes.DCM.ArtificialIntelligence,
            version=(self.version or "not known")[:_MOST_CHARACTERS],
        )


def common(series_number: int, what: str) -> dict[str, Any]:
    """The arguments that highdicom's constructors share; a series and an instance of its own for each object."""
    return {
        "series_instance_uid": UID(),
        "series_number": series_number,
        "sop_instance_uid": UID(),
        "instance_number": 1,
        "manufacturer": NAME,
        "manufacturer_model_name": "liver-seg",
        "software_versions": __version__,
        "device_serial_number": "0",
        "series_description": f"{NAME} {what}, {NOT_CLINICAL}"[:_MOST_CHARACTERS],
    }


def patient_and_study(header: Dataset) -> dict[str, Any]:
    """The arguments of `highdicom.base.SOPClass` that say whose object it is."""
    return {
        "study_instance_uid": header.StudyInstanceUID,
        "patient_id": header.PatientID,
        "patient_name": header.PatientName,
        "patient_birth_date": header.PatientBirthDate,
        "patient_sex": header.PatientSex,
        "accession_number": header.AccessionNumber,
        "study_id": header.StudyID,
        "study_date": header.StudyDate,
        "study_time": header.StudyTime,
        "referring_physician_name": header.ReferringPhysicianName,
        "specific_character_set": header.get("SpecificCharacterSet"),
    }
