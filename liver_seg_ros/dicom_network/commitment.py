# SPDX-License-Identifier: Apache-2.0
"""Storage commitment (PS3.4 J.3): who sent objects asks whether they are kept, and is told which are and which are not.

Asked by N-ACTION, answered by N-EVENT-REPORT over an association of our own: the asking peer's port has to be known.
What is on disk in the spool when it is looked at is told to be kept.
"""

from __future__ import annotations

import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.events import Event

from liver_seg_ros.dicom_network.arrived import MOST_FRAMES, is_uid
from liver_seg_ros.dicom_network.caller import caller_of
from liver_seg_ros.dicom_network.calling import Caller, association
from liver_seg_ros.dicom_network.peers import AllowedPeer, Peer
from liver_seg_ros.dicom_network.services import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from liver_seg_ros.dicom_network.spool import Spool
from liver_seg_ros.dicom_network.statuses import (
    CLASS_INSTANCE_CONFLICT,
    INVALID_ARGUMENT,
    NO_SUCH_ACTION,
    NO_SUCH_INSTANCE,
    NOT_AUTHORIZED,
    RESOURCE_LIMITATION,
    SUCCESS,
    RefusedError,
)
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_file import UNREADABLE, read_header

_ASK = 1
_ALL_KEPT, _SOME_NOT = 1, 2
_MOST_BYTES = 16_000_000
_MOST_WAITING = 100
#: A peer that asked may need a moment before it can be told.
TRIES, BETWEEN_S = 3, 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Asked:
    """One question: of which objects (class and instance), and where the answer goes."""

    transaction: str
    objects: Sequence[tuple[str, str]]
    peer: Peer


class CommitmentService:
    """Answers from a thread of its own, one question after another; those that wait end with the process.

    Args:
        spool: has the objects.
        peers: who may ask: those whose port is known.
        title: the own AE title.
        tls: for calling back.
        around: makes what surrounds all that the thread does.
    """

    sop_class = STORAGE_COMMITMENT

    def __init__(
        self,
        spool: Spool,
        peers: Sequence[AllowedPeer],
        title: str,
        tls: ssl.SSLContext | None,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._spool, self._peers, self._title, self._tls, self._around = spool, peers, title, tls, around
        self._waiting: queue.Queue[_Asked] = queue.Queue(_MOST_WAITING)
        threading.Thread(target=self._work, name="commitment", daemon=True).start()

    def handlers(self) -> list[tuple[Any, Callable[[Event], Any]]]:
        """What pynetdicom is to call."""
        return [(evt.EVT_N_ACTION, self._on_action)]

    def _on_action(self, event: Event) -> tuple[Dataset | int, None]:
        try:
            self._waiting.put_nowait(self._asked(event))
        except RefusedError as error:
            refused = error
        except queue.Full:
            refused = RefusedError(RESOURCE_LIMITATION, "too many questions wait for storage commitment")
        except (*UNREADABLE, MemoryError) as error:
            refused = RefusedError(INVALID_ARGUMENT, f"a question that cannot be read ({type(error).__name__})")
        else:
            return SUCCESS, None
        _log.warning("%s: storage commitment: %s: answered 0x%04X", caller_of(event), refused.reason, refused.status)
        return refused.answer(), None

    def _asked(self, event: Event) -> _Asked:
        request: Any = event.request
        if request.ActionTypeID != _ASK or request.RequestedSOPInstanceUID != STORAGE_COMMITMENT_INSTANCE:
            raise RefusedError(NO_SUCH_ACTION, "an action that there is not")
        sent = request.ActionInformation
        if sent is None or len(sent.getbuffer()) > _MOST_BYTES:
            raise RefusedError(INVALID_ARGUMENT, "a question without objects, or with too many")
        told = event.action_information
        transaction = str(told.get("TransactionUID") or "")
        references = told.get("ReferencedSOPSequence") or []
        if not is_uid(transaction) or not 0 < len(references) <= MOST_FRAMES:
            raise RefusedError(INVALID_ARGUMENT, "a question without a transaction, without objects, or with too many")
        objects = [(str(r.get("ReferencedSOPClassUID")), str(r.get("ReferencedSOPInstanceUID"))) for r in references]
        return _Asked(transaction, objects, self._peer(event))

    def _peer(self, event: Event) -> Peer:
        """Where the asking peer listens.

        The association over which it asked could carry the answer too, but two requests that cross on it, such as a
        slice that is sent just then, are taken for each other's answers.
        """
        requestor: Any = event.assoc.requestor
        title = str(requestor.primitive.calling_ae_title).strip()
        ports = (peer.port for peer in self._peers if peer.title == title and peer.host in (None, requestor.address))
        port = next((port for port in ports if port is not None), None)
        if port is None:
            raise RefusedError(NOT_AUTHORIZED, "its port is not known; name it as TITLE@address:port")
        return Peer(title, requestor.address, port)

    def _work(self) -> None:
        with self._around():
            while True:
                asked = self._waiting.get()
                report = self._report(asked)
                for number in range(TRIES):
                    if number:
                        time.sleep(BETWEEN_S)
                    problem = self._tell(asked, report)
                    if not problem:
                        break
                else:
                    _log.warning("%s: storage commitment: cannot be told: %s", asked.peer.title, problem)

    def _report(self, asked: _Asked) -> Dataset:
        report = Dataset()
        report.TransactionUID = asked.transaction
        report.ReferencedSOPSequence, failed = [], []
        for item, reason in _looked_at(self._spool, asked.objects):
            if reason == SUCCESS:
                report.ReferencedSOPSequence.append(item)
            else:
                item.FailureReason = reason
                failed.append(item)
        if failed:
            report.FailedSOPSequence = failed
        if not report.ReferencedSOPSequence:
            del report.ReferencedSOPSequence
        return report

    def _tell(self, asked: _Asked, report: Dataset) -> str:
        """Send the report; why that was not possible, or nothing."""
        event_type = _SOME_NOT if "FailedSOPSequence" in report else _ALL_KEPT
        about = (event_type, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE)
        try:
            contexts, roles = [build_context(STORAGE_COMMITMENT)], [build_role(STORAGE_COMMITMENT, scp_role=True)]
            with association(Caller(asked.peer, self._title, self._tls), contexts, roles) as opened:
                answer, _ = opened.send_n_event_report(report, *about)
        except (InputError, RuntimeError, ValueError) as error:  # pynetdicom's, where an association has ended
            return str(error)
        status = answer.get("Status")
        return "" if status == SUCCESS else "no answer" if status is None else f"answered 0x{status:04X}"


def _looked_at(spool: Spool, objects: Sequence[tuple[str, str]]) -> Iterator[tuple[Dataset, int]]:
    """Each object as a report names it, and whether it is kept: `SUCCESS`, or why not."""
    there = {path.stem: path for path in spool.objects()}
    for sop_class, instance in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        path = there.get(instance)
        try:
            if path is None:
                yield item, NO_SUCH_INSTANCE
            else:
                yield item, SUCCESS if read_header(path).SOPClassUID == sop_class else CLASS_INSTANCE_CONFLICT
        except InputError:  # taken away meanwhile, or damaged
            yield item, NO_SUCH_INSTANCE
