# SPDX-License-Identifier: Apache-2.0
"""What senders say besides: of their work (MPPS), by which a series is known to be whole, and whether it is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage, generate_uid
from pynetdicom import AE

from liver_seg_ros.dicom_network.peers import AllowedPeer, parse_allowed
from liver_seg_ros.dicom_network.performed_steps import PerformedSteps
from liver_seg_ros.dicom_network.reception import Reception, ReceptionOptions
from liver_seg_ros.dicom_network.services import PERFORMED_STEP, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from liver_seg_ros.dicom_network.statuses import RefusedError

LONG_S = 90.0


@pytest.fixture
def reception(tmp_path: Path) -> Iterator[Callable[..., tuple[Reception, int, list[Path]]]]:
    """Starts receivers as the command does: the reception, its port, and a list of what it delivers."""
    started: list[Reception] = []

    def start(**options: Any) -> tuple[Reception, int, list[Path]]:
        delivered: list[Path] = []
        given = ReceptionOptions(**{"port": 0, "keep_free_gb": 0.0, "quiet_s": 3600, "deadline_s": 7200, **options})
        started.append(Reception(tmp_path / "spool", given, delivered.append))
        return started[-1], started[-1].start(), delivered

    yield start
    for one in started:
        one.stop()
        one.spool.close()


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LONG_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def step(state: str, series: str = "", objects: list[tuple[str, str]] = []) -> Dataset:  # noqa: B006  read only
    told = Dataset()
    told.PerformedProcedureStepStatus, told.PatientName = state, "Doe^Unmistakable"
    if series:
        told.PerformedSeriesSequence = [Dataset()]
        told.PerformedSeriesSequence[0].SeriesInstanceUID = series
        told.PerformedSeriesSequence[0].ReferencedImageSequence = [reference(*one) for one in objects]
    return told


def reference(sop_class: str, instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    return item


def associate(port: int, *classes: str) -> Any:
    entity = AE(ae_title="SCANNER")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = LONG_S
    for sop_class in classes:
        entity.add_requested_context(sop_class)
    opened = entity.associate("127.0.0.1", port, ae_title="LIVERSEG")
    assert opened.is_established
    return opened


def test_a_series_is_complete_when_as_many_are_there_as_the_modality_made(
    reception: Callable, make_slices: Callable, tmp_path: Path
) -> None:
    """At once, though nothing tells the number but the step, and the receiver was started anew in between."""
    sent, uid = make_slices(4), generate_uid()
    objects = [(CTImageStorage, one.SOPInstanceUID) for one in sent]
    first, port, _ = reception()
    scanner = associate(port, PERFORMED_STEP)
    assert scanner.send_n_create(step("IN PROGRESS"), PERFORMED_STEP, uid)[0].Status == 0
    assert scanner.send_n_create(step("IN PROGRESS"), PERFORMED_STEP, uid)[0].Status == 0x0111
    scanner.release()
    first.stop()
    first.spool.close()
    _, port, delivered = reception()
    scanner = associate(port, PERFORMED_STEP, CTImageStorage)
    assert [scanner.send_c_store(one).Status for one in sent[:3]] == [0, 0, 0]
    series = sent[0].SeriesInstanceUID
    other = (SecondaryCaptureImageStorage, generate_uid())  # which nobody sends here
    told = step("COMPLETED", series, [*objects, objects[0], other])
    assert scanner.send_n_set(told, PERFORMED_STEP, uid)[0].Status == 0
    assert scanner.send_n_set(told, PERFORMED_STEP, uid)[0].Status == 0x0110
    assert scanner.send_n_set(told, PERFORMED_STEP, generate_uid())[0].Status == 0x0112
    assert scanner.send_n_create(step("BEGUN"), PERFORMED_STEP, generate_uid())[0].Status == 0x0106
    assert delivered == []
    assert scanner.send_c_store(sent[3]).Status == 0
    scanner.release()
    assert [folder.name for folder in until(lambda: delivered)] == [series]
    kept = "".join(path.read_text() for path in (tmp_path / "spool" / "steps").iterdir())
    assert json.loads(kept)["series"] == {series: 4} and "Unmistakable" not in kept


def test_of_steps_the_last_ones_are_remembered_and_damaged_ones_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liver_seg_ros.dicom_network.performed_steps.MOST_STEPS", 2)
    steps = PerformedSteps(tmp_path)
    for uid in ("1.1", "1.2", "1.3"):
        steps.create(uid, step("IN PROGRESS", f"2.{uid}", [(CTImageStorage, "9.1")]))
    assert steps.objects("2.1.2") is None  # it goes on
    steps.change("1.2", step("DISCONTINUED"))
    assert steps.objects("2.1.2") == 1 and steps.objects("2.1.3") is None
    (tmp_path / "1.3.json").write_text("{")
    again = PerformedSteps(tmp_path)
    assert again.objects("2.1.2") == 1
    for uid in ("1.1", "1.3", "../1"):
        with pytest.raises(RefusedError):
            again.change(uid, step("COMPLETED"))


def test_orthanc_is_told_what_is_kept_and_what_is_not(orthanc: Any, reception: Callable, make_slices: Callable) -> None:
    """Over an association of the receiver's own, to where it was told that Orthanc listens."""
    peers = [f"ORTHANC@127.0.0.1:{orthanc.dicom_port}", "SCANNER"]
    _, port, _ = reception(commitment=True, peers=peers, port=orthanc.move_port)
    sent, missing = make_slices(2), generate_uid()
    scanner = associate(port, CTImageStorage)
    assert [scanner.send_c_store(one).Status for one in sent] == [0, 0]
    scanner.release()
    kept = [(CTImageStorage, one.SOPInstanceUID) for one in sent]
    not_kept = [(CTImageStorage, missing), (SecondaryCaptureImageStorage, sent[0].SOPInstanceUID)]
    for asked, status in ((kept, "Success"), ([*kept[1:], *not_kept], "Failure")):
        names = [dict(zip(("SOPClassUID", "SOPInstanceUID"), one, strict=True)) for one in asked]
        body = json.dumps({"DicomInstances": names}).encode()
        path = json.loads(orthanc.rest("modalities/us/storage-commitment", body))["Path"].lstrip("/")
        told = until(lambda path=path: (r := json.loads(orthanc.rest(path)))["Status"] != "Pending" and r)
        assert told["Status"] == status
        failed = {one["SOPInstanceUID"]: one["Description"] for one in told["Failures"]}
        assert failed.keys() == ({missing, sent[0].SOPInstanceUID} if status == "Failure" else set()), failed
        assert len({*failed.values()}) == len(failed)  # each for a reason of its own
        assert {one["SOPInstanceUID"] for one in told["Success"]} == {uid for _, uid in asked} - failed.keys()


def test_commitment_is_not_offered_unless_asked_for_and_refused_where_nobody_can_be_told(reception: Callable) -> None:
    first, port, _ = reception(commitment=True, peers=["SCANNER@127.0.0.1"])
    scanner = associate(port, STORAGE_COMMITMENT, CTImageStorage)
    question = Dataset()
    question.TransactionUID = generate_uid()
    question.ReferencedSOPSequence = [reference(CTImageStorage, generate_uid())]
    about = (STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE)
    nothing = Dataset()
    nothing.TransactionUID = generate_uid()
    answers = [scanner.send_n_action(*asked, *about)[0] for asked in ((question, 1), (question, 2), (nothing, 1))]
    assert [answer.Status for answer in answers] == [0x0124, 0x0123, 0x0115]
    assert answers[0].ErrorComment == "its port is not known; name it as TITLE@address:port"
    scanner.release()
    first.stop()
    first.spool.close()
    _, port, _ = reception()
    scanner = associate(port, STORAGE_COMMITMENT, CTImageStorage)
    assert [context.abstract_syntax for context in scanner.accepted_contexts] == [CTImageStorage]
    scanner.release()


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("A", AllowedPeer("A")),
        ("A@10.0.0.1", AllowedPeer("A", "10.0.0.1")),
        ("A@10.0.0.1:104", AllowedPeer("A", "10.0.0.1", 104)),
        ("A@::1", AllowedPeer("A", "::1")),
        ("A@[::1]:104", AllowedPeer("A", "::1", 104)),
    ],
)
def test_who_may_call_may_have_a_port(text: str, peer: AllowedPeer) -> None:
    assert parse_allowed(text) == peer
