# SPDX-License-Identifier: Apache-2.0
"""The audit trail: who sent or asked for which study, when, and what came of it (DICOM PS3.15 A.5).

A message is one line of XML in a file that only grows; a collector of audit records takes it from there. The patient,
whom A.5.3 would name with a study, is left out: names and IDs of patients stay in the objects.
"""

from __future__ import annotations

import base64
import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path
from xml.etree import ElementTree as Xml

from liver_seg_ros.errors import InputError

#: PS3.16 CID 400 and 401 (events), 402 (roles), 404 (objects): code and meaning.
_APPLICATION_ACTIVITY = ("110100", "Application Activity")
_INSTANCES_ACCESSED = ("110103", "DICOM Instances Accessed")
_INSTANCES_TRANSFERRED = ("110104", "DICOM Instances Transferred")
_USER_AUTHENTICATION = ("110114", "User Authentication")
_APPLICATION_START, _APPLICATION_STOP = ("110120", "Application Start"), ("110121", "Application Stop")
_LOGIN = ("110122", "Login")
_APPLICATION, _DESTINATION, _SOURCE = (
    ("110150", "Application"),
    ("110152", "Destination Role ID"),
    ("110153", "Source Role ID"),
)
_STUDY_UID = ("110180", "Study Instance UID")

_CREATE, _READ, _EXECUTE = "C", "R", "E"
_DONE, _MINOR_FAILURE, _SERIOUS_FAILURE = "0", "4", "8"
_IP_ADDRESS = "2"
_SYSTEM_OBJECT, _REPORT = "2", "3"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Party:
    """A side of what happened: AE title, address ("" where it is this machine), and the user where one was proven."""

    title: str
    address: str = ""
    user: str = ""


@dataclass
class Transfer:
    """What came over one association: objects by study and SOP class that were taken, and how many were not."""

    taken: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: int = 0


class AuditTrail:
    """Appends to a file, which is made for its owner alone; from any thread.

    Raises `InputError` where it cannot be opened. What cannot be written later is one line in the log, until it can be.

    Args:
        path: of the file.
        title: own AE title.
    """

    def __init__(self, path: Path, title: str) -> None:
        self._path, self._own = path, Party(title)
        self._lock = threading.Lock()
        self._failed, self._torn = False, False
        try:
            self._file = _opened(path)
        except OSError as error:
            raise InputError(f"{path}: no audit trail can be written there ({error.strerror})") from error

    def close(self) -> None:
        """Write no more; what comes yet is lost."""
        with self._lock:
            self._file.close()

    def started(self) -> None:
        """It listens."""
        self._write(
            _message(_APPLICATION_ACTIVITY, _EXECUTE, [(self._own, _APPLICATION, False)], kind=_APPLICATION_START)
        )

    def stopped(self) -> None:
        """It listens no more."""
        self._write(
            _message(_APPLICATION_ACTIVITY, _EXECUTE, [(self._own, _APPLICATION, False)], kind=_APPLICATION_STOP)
        )

    def refused(self, caller: Party, why: str) -> None:
        """An association was not granted."""
        parties = [(caller, _SOURCE, True), (self._own, _DESTINATION, False)]
        self._write(_message(_USER_AUTHENTICATION, _EXECUTE, parties, _SERIOUS_FAILURE, why, _LOGIN))

    def transferred(self, caller: Party, transfer: Transfer) -> None:
        """An association came to its end, over which objects came: a message for each study (A.5.3.7)."""
        parties = [(caller, _SOURCE, True), (self._own, _DESTINATION, False)]
        outcome = _MINOR_FAILURE if transfer.refused else _DONE
        why = f"{transfer.refused} objects were not taken" if transfer.refused else ""
        studies: dict[str, dict[str, int]] = {}
        for (study_uid, sop_class), count in transfer.taken.items():
            studies.setdefault(study_uid, {})[sop_class] = count
        for study_uid, classes in studies.items():
            study = _study(study_uid, classes)
            self._write(_message(_INSTANCES_TRANSFERRED, _CREATE, parties, outcome, why, study=study))
        if transfer.refused and not studies:
            self._write(_message(_INSTANCES_TRANSFERRED, _CREATE, parties, _SERIOUS_FAILURE, why))

    def processed(self, study_uid: str, models: str, why_not: str = "") -> None:
        """A study was segmented by these networks, or was not, and why."""
        details = {"models": models} if models else {}
        outcome = _SERIOUS_FAILURE if why_not else _DONE
        study = _study(study_uid, {}, details)
        self._write(_message(_INSTANCES_ACCESSED, _READ, [(self._own, None, True)], outcome, why_not, study=study))

    def _write(self, message: Xml.Element) -> None:
        line = Xml.tostring(message, encoding="utf-8") + b"\n"
        with self._lock:
            if self._file.closed:
                return
            try:
                written = self._file.write(b"\n" + line if self._torn else line)
                self._torn = written < len(line)
                why = "no space" if self._torn else ""
            except OSError as error:
                why = error.strerror or type(error).__name__
            if why and not self._failed:
                _log.warning("%s: the audit trail cannot be written (%s)", self._path, why)
            self._failed = bool(why)


def _opened(path: Path) -> FileIO:
    """The file, to append to it; made for its owner alone."""
    return FileIO(path, "a", opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, 0o600))


def _message(
    event: tuple[str, str],
    action: str,
    parties: Sequence[tuple[Party, tuple[str, str] | None, bool]],
    outcome: str = _DONE,
    why: str = "",
    kind: tuple[str, str] | None = None,
    study: Xml.Element | None = None,
) -> Xml.Element:
    """An AuditMessage; the order of its parts is the schema's (A.5.1)."""
    message = Xml.Element("AuditMessage")
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    traits = {"EventActionCode": action, "EventDateTime": now, "EventOutcomeIndicator": outcome}
    identified = Xml.SubElement(message, "EventIdentification", traits)
    _coded(identified, "EventID", event)
    if kind is not None:
        _coded(identified, "EventTypeCode", kind)
    if why:
        Xml.SubElement(identified, "EventOutcomeDescription").text = _printable(why)
    for party, role, asks in parties:
        traits = {
            "UserID": _printable(party.title),
            "AlternativeUserID": f"AETITLES={_printable(party.title)}",
            "UserIsRequestor": str(asks).lower(),
        }
        if party.user:
            traits["UserName"] = _printable(party.user)
        if party.address:
            traits |= {"NetworkAccessPointID": party.address, "NetworkAccessPointTypeCode": _IP_ADDRESS}
        participant = Xml.SubElement(message, "ActiveParticipant", traits)
        if role is not None:
            _coded(participant, "RoleIDCode", role)
    Xml.SubElement(message, "AuditSourceIdentification", {"AuditSourceID": f"liver_seg_ros@{socket.gethostname()}"})
    if study is not None:
        message.append(study)
    return message


def _study(study_uid: str, classes: dict[str, int], details: dict[str, str] | None = None) -> Xml.Element:
    """The study as an object that took part, with how many objects of which SOP classes, and details by name."""
    traits = {"ParticipantObjectTypeCode": _SYSTEM_OBJECT, "ParticipantObjectTypeCodeRole": _REPORT}
    study = Xml.Element("ParticipantObjectIdentification", {"ParticipantObjectID": study_uid, **traits})
    _coded(study, "ParticipantObjectIDTypeCode", _STUDY_UID)
    Xml.SubElement(study, "ParticipantObjectName").text = study_uid
    for name, value in (details or {}).items():
        encoded = base64.b64encode(value.encode()).decode("ascii")
        Xml.SubElement(study, "ParticipantObjectDetail", {"type": name, "value": encoded})
    if classes:
        described = Xml.SubElement(study, "ParticipantObjectDescription")
        for sop_class, count in classes.items():
            Xml.SubElement(described, "SOPClass", {"UID": sop_class, "NumberOfInstances": str(count)})
    return study


def _coded(parent: Xml.Element, name: str, code: tuple[str, str]) -> None:
    value, meaning = code
    Xml.SubElement(parent, name, {"csd-code": value, "codeSystemName": "DCM", "originalText": meaning})


def _printable(text: str) -> str:
    """What XML may hold, on one line."""
    return "".join(character if character.isprintable() else " " for character in text)
