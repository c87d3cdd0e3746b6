# SPDX-License-Identifier: Apache-2.0
"""Asking a PACS which CT series it has (C-FIND, Study Root, PS3.4 C.6.2).

Patients' names are not asked for: what is found is shown and logged.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from pydicom import Dataset
from pynetdicom import build_context

from liver_seg_ros.dicom_network.calling import Caller, association
from liver_seg_ros.dicom_network.peers import Peer
from liver_seg_ros.dicom_network.services import STUDY_FIND
from liver_seg_ros.errors import InputError

#: Series that are listed; who has more asks for less.
MOST_FOUND = 5000
_PENDING = (0xFF00, 0xFF01)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What is looked for; an empty value is any. Dates are YYYYMMDD or a range YYYYMMDD-YYYYMMDD."""

    patient_id: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_uid: str = ""
    series_uid: str = ""


@dataclass(frozen=True)
class FoundSeries:
    """A CT series of a PACS.

    Attributes:
        study_uid, series_uid: its UIDs.
        study_date, series_number, description: as the PACS has them; "" where it does not say.
        objects: how many; None where it does not say.
    """

    study_uid: str
    series_uid: str
    study_date: str = ""
    series_number: str = ""
    description: str = ""
    objects: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def find_series(caller: Caller, wanted: Wanted) -> list[FoundSeries]:
    """The CT series that are wanted, study by study.

    Raises `InputError` where the PACS cannot be asked, refuses, or has more than `MOST_FOUND`.
    """
    with association(caller, [build_context(STUDY_FIND)]) as opened:
        studies = [wanted.study_uid]
        if not wanted.study_uid:  # a series is asked for within its study
            studies = [str(study.get("StudyInstanceUID") or "") for study in _find(opened, _study(wanted))]
        found = [series for study in filter(None, studies) for series in _series(opened, study, wanted.series_uid)]
    return sorted(found, key=lambda series: (series.study_date, series.study_uid, series.series_number))


def counter(peer: Peer, title: str, tls: ssl.SSLContext | None) -> Callable[[str, str], int | None]:
    """Asks `peer` how many objects a series has, by its study and its own UID; what fails is logged and is None."""
    caller = Caller(peer, title, tls)

    def count(study_uid: str, series_uid: str) -> int | None:
        try:
            found = find_series(caller, Wanted(study_uid=study_uid, series_uid=series_uid))
        except InputError as error:
            _log.warning("how many objects a series has is not known: %s", error)
            return None
        return found[0].objects if len(found) == 1 else None

    return count


def _series(opened: Any, study_uid: str, series_uid: str) -> Iterator[FoundSeries]:
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID, asked.SeriesInstanceUID = "SERIES", study_uid, series_uid
    asked.Modality = "CT"
    for name in ("SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances", "StudyDate"):
        setattr(asked, name, None)
    for answer in _find(opened, asked):
        number = str(answer.get("NumberOfSeriesRelatedInstances") or "")
        yield FoundSeries(
            study_uid,
            str(answer.get("SeriesInstanceUID") or ""),
            str(answer.get("StudyDate") or ""),
            str(answer.get("SeriesNumber") or ""),
            " ".join(str(answer.get("SeriesDescription") or "").split()),
            int(number) if number.isascii() and number.isdecimal() else None,
        )


def _study(wanted: Wanted) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID, asked.ModalitiesInStudy = "STUDY", "", "CT"
    asked.PatientID, asked.AccessionNumber = wanted.patient_id, wanted.accession_number
    asked.StudyDate = wanted.study_date
    return asked


def _find(opened: Any, asked: Dataset) -> list[Dataset]:
    found: list[Dataset] = []
    status = None
    for answer, identifier in opened.send_c_find(asked, STUDY_FIND):
        status = answer.get("Status")
        if status in _PENDING and identifier is not None:
            found.append(identifier)
        if len(found) > MOST_FOUND:
            raise InputError(f"more than {MOST_FOUND} are found; ask for a patient, a date or a study")
    if status != 0:
        shown = "nothing" if status is None else f"0x{status:04X}"
        raise InputError(f"the PACS answered {shown} to the question, not a result; see its log")
    return found
