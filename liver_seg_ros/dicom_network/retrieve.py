# SPDX-License-Identifier: Apache-2.0
"""Fetching a series from a PACS: by C-GET over the same association, or by C-MOVE to a receiver of our own.

What comes goes through the same checks and onto disk in the same way as what is sent unasked.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.events import Event

from liver_seg_ros.dicom_network.arrived import judge
from liver_seg_ros.dicom_network.calling import Caller, association
from liver_seg_ros.dicom_network.completeness import Patience
from liver_seg_ros.dicom_network.incoming import IncomingSeries
from liver_seg_ros.dicom_network.limits import MB, ReceiveLimits
from liver_seg_ros.dicom_network.query import FoundSeries
from liver_seg_ros.dicom_network.receiver import TRANSFER_SYNTAXES, Listening, Receiver
from liver_seg_ros.dicom_network.services import STUDY_GET, STUDY_MOVE
from liver_seg_ros.dicom_network.spool import Spool
from liver_seg_ros.dicom_network.statuses import OUT_OF_RESOURCES, SUCCESS, RefusedError
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_file import CT_STORAGES

_PENDING = (0xFF00, 0xFF01)

_log = logging.getLogger(__name__)


def retrieve(
    caller: Caller, wanted: FoundSeries, spool: Spool, limits: ReceiveLimits, listening: Listening | None = None
) -> Path:
    """The folder of the series, complete, in `spool.complete`.

    Args:
        caller: whom to ask.
        wanted: the series, as `query.find_series` found it: as many objects as it has must come.
        spool: where it goes.
        limits: of what is taken.
        listening: where the PACS is to send it to, by the AE title that it knows (C-MOVE); None for C-GET.

    Raises:
        InputError: the PACS cannot be asked, refuses, or sends fewer objects than it has; what came stays in the spool.
    """
    series = IncomingSeries(spool, Patience(), limits, deliver=lambda _: None)  # not watched: the PACS says when
    known = spool.complete / wanted.series_uid
    if wanted.objects is not None and spool.count(known) >= wanted.objects:
        return known
    if listening is None:
        _get(caller, wanted, series, limits)
    else:
        receiver = Receiver(spool, series, listening, limits)
        receiver.start()
        try:
            _move(caller, wanted, listening.title)
        finally:
            receiver.stop()
    count = len(spool.files_of(wanted.series_uid)) + spool.count(known)
    if count == 0 or (wanted.objects is not None and count < wanted.objects):
        has = "some" if wanted.objects is None else wanted.objects
        raise InputError(
            f"series {wanted.series_uid}: {count} of {has} objects came. Ask for it again; those here stay."
        )
    return series.finish_now(wanted.series_uid)


def _get(caller: Caller, wanted: FoundSeries, series: IncomingSeries, limits: ReceiveLimits) -> None:
    contexts = [build_context(STUDY_GET), *(build_context(kind, list(TRANSFER_SYNTAXES)) for kind in CT_STORAGES)]
    roles = [build_role(kind, scp_role=True) for kind in CT_STORAGES]
    without_room: list[str] = []

    def on_store(event: Event) -> int:
        request: Any = event.request
        data = event.encoded_dataset()
        announced = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
        try:
            arrived = judge(data, *announced, int(limits.unpacked_mb * MB))
            series.take(arrived, data)
        except RefusedError as refused:
            _log.warning("an object %s; not taken", refused.reason)
            return refused.status
        except (OSError, InputError):
            without_room.append(arrived.instance_uid)
            return OUT_OF_RESOURCES
        return SUCCESS

    with association(caller, contexts, roles, [(evt.EVT_C_STORE, on_store)]) as opened:
        status = _last(opened.send_c_get(_asked(wanted), STUDY_GET))
    if without_room:
        raise InputError(f"series {wanted.series_uid}: no room for {len(without_room)} of its objects. Make some.")
    _check(status)


def _move(caller: Caller, wanted: FoundSeries, destination: str) -> None:
    with association(caller, [build_context(STUDY_MOVE)]) as opened:
        status = _last(opened.send_c_move(_asked(wanted), destination, STUDY_MOVE))
    _check(status, f"It has to know {destination}, its address and port.")


def _asked(wanted: FoundSeries) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = "SERIES"
    asked.StudyInstanceUID, asked.SeriesInstanceUID = wanted.study_uid, wanted.series_uid
    return asked


def _last(answers: Any) -> int | None:
    """The status of the last answer; None where the peer went away before it. Who asked counts what came."""
    status = None
    for answer, _ in answers:
        status = answer.get("Status")
    return status


def _check(status: int | None, hint: str = "See its log.") -> None:
    """Raise `InputError`, with a hint, where a status says that the series was not sent."""
    if status is None:
        raise InputError("the PACS went away before it had sent the series. Ask for it again; what came stays.")
    if status != 0 and status not in _PENDING and status >> 12 != 0xB:
        raise InputError(f"the PACS answered 0x{status:04X}: it did not send the series. {hint}")
