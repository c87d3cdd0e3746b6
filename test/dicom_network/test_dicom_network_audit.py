# SPDX-License-Identifier: Apache-2.0
"""The audit trail: a message for whatever came, by the rules of the schema in DICOM PS3.15 A.5.1, without a patient."""

from __future__ import annotations

import base64
import re
import shutil
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liver_seg_ros.dicom_network.audit import AuditTrail, Party, Transfer
from liver_seg_ros.dicom_network.reception import Reception, ReceptionOptions
from liver_seg_ros.errors import InputError

CT = "1.2.840.10008.5.1.4.1.1.2"
#: Of the schema: the children of an element as a regular expression, then its attributes; those with ? may be missing.
CODE = ("", {"csd-code": r"\d+", "codeSystemName": "DCM", "originalText": ".+"})
RULES = {
    "AuditMessage": (
        "EventIdentification (ActiveParticipant )+AuditSourceIdentification (ParticipantObjectIdentification )*",
        {},
    ),
    "EventIdentification": (
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
        {"EventActionCode?": "[CRUDE]", "EventDateTime": ".+", "EventOutcomeIndicator": "0|4|8|12"},
    ),
    "EventID": CODE,
    "EventTypeCode": CODE,
    "EventOutcomeDescription": ("", {}),
    "ActiveParticipant": (
        "(RoleIDCode )*(MediaIdentifier )?",
        {
            "UserID": ".+", "AlternativeUserID?": ".+", "UserName?": ".+", "UserIsRequestor": "true|false",
            "NetworkAccessPointID?": ".+", "NetworkAccessPointTypeCode?": "[1-5]",
        },
    ),
    "RoleIDCode": CODE,
    "AuditSourceIdentification": ("(AuditSourceTypeCode )*", {"AuditSourceID": ".+"}),
    "ParticipantObjectIdentification": (
        "ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )"
        "(ParticipantObjectDetail )*(ParticipantObjectDescription )*",
        {"ParticipantObjectID": ".+", "ParticipantObjectTypeCode?": "[1-4]", "ParticipantObjectTypeCodeRole?": r"\d+"},
    ),
    "ParticipantObjectIDTypeCode": CODE,
    "ParticipantObjectName": ("", {}),
    "ParticipantObjectDetail": ("", {"type": ".+", "value": "[A-Za-z0-9+/]+=*"}),
    "ParticipantObjectDescription": ("(MPPS )*(Accession )*(SOPClass )*", {}),
    "SOPClass": ("(Instance )*", {"UID?": r"[0-9.]+", "NumberOfInstances": r"\d+"}),
}  # fmt: skip


def messages(path: Path) -> list[Xml.Element]:
    """The file's messages, each of which keeps to the schema."""
    read = [Xml.fromstring(line) for line in path.read_text("utf-8").splitlines()]
    for element in (element for message in read for element in message.iter()):
        children, attributes = RULES[element.tag]
        assert re.fullmatch(children, "".join(f"{child.tag} " for child in element)), element.tag
        known = {name.rstrip("?"): pattern for name, pattern in attributes.items()}
        assert {name for name in attributes if not name.endswith("?")} <= element.attrib.keys() <= known.keys()
        for name, value in element.attrib.items():
            assert re.fullmatch(known[name], value, re.DOTALL), (element.tag, name, value)
    assert all(datetime.fromisoformat(m[0].attrib["EventDateTime"]).tzinfo is not None for m in read)
    return read


def told(message: Xml.Element) -> tuple[str, str, str, str]:
    """Meaning of the event, outcome, who asked, and the study."""
    found = message.find("ParticipantObjectIdentification")
    [asking] = [p for p in message.iter("ActiveParticipant") if p.attrib["UserIsRequestor"] == "true"] or [message[1]]
    study = "" if found is None else found.attrib["ParticipantObjectID"]
    return (
        message[0][0].attrib["originalText"],
        message[0].attrib["EventOutcomeIndicator"],
        asking.attrib["UserID"],
        study,
    )


def test_what_came_and_who_was_refused_is_in_the_trail_and_no_patient(
    make_slices: Callable, save: Callable, dcmtk: Callable, tmp_path: Path
) -> None:
    trail, users, sent = tmp_path / "trail.xml", tmp_path / "users", make_slices(3)
    users.write_text("anna:open\n")
    users.chmod(0o600)
    del sent[2].PixelData
    folder = save(tmp_path / "sent", sent)
    options = ReceptionOptions(port=0, peers=["SENDER"], user_file=users, audit_file=trail, keep_free_gb=0)
    reception = Reception(tmp_path / "spool", options, lambda _: None)
    port = reception.start()
    for title, passcode in (("STRANGER", "open"), ("SENDER", "wrong"), ("SENDER", "open")):
        dcmtk(
            "storescu",
            "-nh",
            "-usr",
            "anna",
            "-pwd",
            passcode,
            "-aet",
            title,
            "-aec",
            "LIVERSEG",
            "127.0.0.1",
            port,
            "+sd",
            folder,
        )
    reception.stop()
    reception.spool.close()

    read = messages(trail)
    study = sent[0].StudyInstanceUID
    assert [told(message) for message in read] == [
        ("Application Activity", "0", "LIVERSEG", ""),
        ("User Authentication", "8", "STRANGER", ""),
        ("User Authentication", "8", "SENDER", ""),
        ("DICOM Instances Transferred", "4", "SENDER", study),
        ("Application Activity", "0", "LIVERSEG", ""),
    ]
    [kept] = read[3].iter("SOPClass")
    assert kept.attrib == {"UID": CT, "NumberOfInstances": "2"}
    assert read[3].findtext("EventIdentification/EventOutcomeDescription") == "1 objects were not taken"
    assert [p.attrib.get("UserName") for p in read[3].iter("ActiveParticipant")] == ["anna", None]
    text = trail.read_text("utf-8")
    assert not [word for word in ("Unmistakable", "P-4711", "open", "wrong") if word in text]
    assert stat.S_IMODE(trail.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="no audit trail can be written there"):
        AuditTrail(tmp_path, "LIVERSEG")


@settings(max_examples=15)
@given(st.text(min_size=1, max_size=30), st.text(max_size=30))
def test_whatever_is_claimed_stays_one_message_of_the_schema(
    tmp_path_factory: pytest.TempPathFactory, claimed: str, why: str
) -> None:
    path = tmp_path_factory.mktemp("trail") / "trail.xml"
    trail = AuditTrail(path, "LIVERSEG")
    trail.refused(Party(claimed, "192.0.2.7", claimed), why)
    trail.processed("1.2.3", claimed, why)
    trail.transferred(Party("A"), Transfer(refused=2))
    trail.close()
    trail.stopped()  # too late
    read = messages(path)
    assert len(read) == 3
    [detail] = read[1].iter("ParticipantObjectDetail")
    assert base64.b64decode(detail.attrib["value"]).decode("utf-8", "replace") == claimed


def test_a_full_disk_is_a_line_and_costs_no_other_message(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    trail, filler = AuditTrail(small_disk / "trail.xml", "LIVERSEG"), small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))
    for _ in range(40):
        trail.started()
    assert len([r for r in caplog.records if "the audit trail cannot be written" in r.getMessage()]) == 1
    filler.unlink()
    trail.stopped()
    lines = (small_disk / "trail.xml").read_text("utf-8").splitlines()
    assert "Application Stop" in lines[-1] and Xml.fromstring(lines[-1]) is not None
