# SPDX-License-Identifier: Apache-2.0
"""The storage provider (C-STORE, C-ECHO): takes CT images into a spool.

An object is answered with success once it is on disk, and never before. Log lines name peers by title and address, and
series and objects by UID; nothing else of an object is said.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol

from pydicom import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from pynetdicom import AE, evt
from pynetdicom.events import Event

from liver_seg_ros.dicom_network.arrived import judge
from liver_seg_ros.dicom_network.audit import AuditTrail, Transfer
from liver_seg_ros.dicom_network.caller import caller_of, party_of
from liver_seg_ros.dicom_network.identity import User, is_known, positive_response
from liver_seg_ros.dicom_network.incoming import IncomingSeries
from liver_seg_ros.dicom_network.limits import MB, ReceiveLimits
from liver_seg_ros.dicom_network.peers import AllowedPeer, check_title
from liver_seg_ros.dicom_network.services import VERIFICATION
from liver_seg_ros.dicom_network.spool import Spool
from liver_seg_ros.dicom_network.statuses import OUT_OF_RESOURCES, SUCCESS, RefusedError
from liver_seg_ros.dicom_network.wire import MOST_PDU_BYTES, BoundedReading
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_codec import SYNTAXES
from liver_seg_ros.files.dicom_file import CT_STORAGES

#: How pixels may come: as whoever reads the series can decode them.
TRANSFER_SYNTAXES: tuple[UID, ...] = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, *SYNTAXES,
)  # fmt: skip

#: Of an association's refusal (PS3.8 9.3.4): result, source, reason.
_UNKNOWN_CALLER = (0x01, 0x01, 0x03)
_UNKNOWN_USER = (0x01, 0x02, 0x01)
_FULL = (0x02, 0x03, 0x02)
#: Without room for so much no object can be taken: an association would be for nothing.
_LEAST_BYTES = 4096
#: Connections beyond those that may be associations, which are there to be refused politely.
_WAITING_CONNECTIONS = 16

_log = logging.getLogger(__name__)
# What it says names handlers and bytes of objects; what matters is said here.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class Listening:
    """Where and for whom.

    Attributes:
        title: the AE title that is called.
        port: 0 takes a free one.
        address: of the interface; another than loopback opens it to the network.
        peers: who may call; anybody on an empty one.
        tls: where it is to be encrypted.
        users: who may call, with their passcodes; nobody is asked on an empty one.
    """

    title: str = "LIVERSEG"
    port: int = 11112
    address: str = "127.0.0.1"
    peers: Sequence[AllowedPeer] = ()
    tls: ssl.SSLContext | None = None
    users: Sequence[User] = ()


class Service(Protocol):
    """What is offered besides storage and verification.

    Attributes:
        sop_class: by which it is asked for.
    """

    sop_class: UID

    def handlers(self) -> list[tuple[Any, Callable[[Event], Any]]]:
        """What pynetdicom is to call, and when."""


class Receiver:
    """Listens from `start` to `stop`, in threads.

    Args:
        spool: where objects go.
        series: is told of each object that is there.
        listening: where and for whom.
        limits: of what is taken.
        services: that are offered besides.
        around: makes what surrounds all that is done for one message.
        trail: is told who sent what, and who was refused; None without one.
    """

    def __init__(
        self,
        spool: Spool,
        series: IncomingSeries,
        listening: Listening,
        limits: ReceiveLimits,
        services: Sequence[Service] = (),
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
        trail: AuditTrail | None = None,
    ) -> None:
        check_title(listening.title)
        self._services, self._around = services, around
        self._spool, self._series, self._listening, self._limits = spool, series, listening, limits
        self._passcodes = {user.name: user.passcode for user in listening.users}
        self._full = False
        self._readings: dict[object, BoundedReading] = {}
        self._trail = trail
        self._transfers: dict[object, Transfer] = {}
        self._ae = AE(ae_title=listening.title)
        self._ae.require_called_aet = True
        self._ae.require_calling_aet = sorted({peer.title for peer in listening.peers})
        self._ae.maximum_associations = limits.associations
        self._ae.maximum_pdu_size = MOST_PDU_BYTES
        self._ae.acse_timeout = self._ae.dimse_timeout = self._ae.network_timeout = limits.timeout_s
        self._ae.add_supported_context(VERIFICATION)
        for storage in CT_STORAGES:
            self._ae.add_supported_context(storage, list(TRANSFER_SYNTAXES))
        for service in services:
            self._ae.add_supported_context(service.sop_class)

    def start(self) -> int:
        """Listen; the port. Raises `InputError` where that cannot be."""
        where = (self._listening.address, self._listening.port)
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._on_open),
            (evt.EVT_CONN_CLOSE, self._on_close),
            (evt.EVT_DIMSE_RECV, self._on_message),
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_REJECTED, self._on_rejected),
            (evt.EVT_C_STORE, self._on_store),
            *(pair for service in self._services for pair in service.handlers()),
        ]
        try:
            server: Any = self._ae.start_server(
                where,
                block=False,
                evt_handlers=[(event, self._surrounded(handler)) for event, handler in handlers],
                ssl_context=self._listening.tls,
            )
        except (OSError, OverflowError) as error:
            raise InputError(
                f"cannot listen on {where[0]}:{where[1]} ({error}); choose another port or address"
            ) from error
        port = server.socket.getsockname()[1]
        _log.info("%s listens on %s:%d", self._listening.title, where[0], port)
        return int(port)

    def stop(self) -> None:
        """End all associations and listen no more."""
        self._ae.shutdown()

    def _surrounded(self, handler: Callable[[Event], Any]) -> Callable[[Event], Any]:
        @wraps(handler)
        def surrounded(event: Event) -> Any:
            with self._around():
                try:
                    return handler(event)
                except Exception as error:
                    _log.error("%s: %s while a message was dealt with", caller_of(event), type(error).__name__)
                    raise  # pynetdicom answers that it failed, and says nothing

        return surrounded

    def _on_open(self, event: Event) -> None:
        socket: Any = event.assoc.dul.socket
        if len(self._ae.active_associations) > self._limits.associations + _WAITING_CONNECTIONS:
            socket.close()
            return
        self._readings[event.assoc] = BoundedReading(socket, self._limits)

    def _on_close(self, event: Event) -> None:
        self._readings.pop(event.assoc, None)
        transfer = self._transfers.pop(event.assoc, None)
        if transfer is not None and self._trail is not None:
            self._trail.transferred(party_of(event), transfer)

    def _on_message(self, event: Event) -> None:
        reading = self._readings.get(event.assoc)
        if reading is not None:
            reading.message_ended()

    def _on_requested(self, event: Event) -> None:
        requestor: Any = event.assoc.requestor
        caller = str(requestor.primitive.calling_ae_title).strip()
        allowed = [peer for peer in self._listening.peers if peer.title == caller]
        if self._listening.peers and not any(peer.host in (None, requestor.address) for peer in allowed):
            self._refuse(event, _UNKNOWN_CALLER, "is not known")
        elif self._passcodes and not is_known(requestor.user_identity, self._passcodes):
            self._refuse(event, _UNKNOWN_USER, "names no user with the right passcode")
        elif not self._spool.has_room(_LEAST_BYTES):
            self._refuse(event, _FULL, "finds the disk full")
        elif self._passcodes and requestor.user_identity.positive_response_requested:
            event.assoc.acceptor.add_negotiation_item(positive_response())

    def _refuse(self, event: Event, reason: tuple[int, int, int], why: str) -> None:
        _log.warning("%s %s: refused", caller_of(event), why)
        self._audit_refusal(event, why)
        event.assoc.acse.send_reject(*reason)
        event.assoc.kill()  # once it is sent

    def _on_rejected(self, event: Event) -> None:
        why = "it called another title, is not known, or there are too many"
        _log.warning("%s: refused: %s", caller_of(event), why)
        self._audit_refusal(event, why)

    def _audit_refusal(self, event: Event, why: str) -> None:
        if self._trail is not None:
            self._trail.refused(party_of(event, proven=False), why)

    def _on_store(self, event: Event) -> Dataset | int:
        request: Any = event.request
        data = event.encoded_dataset()
        transfer = self._transfers.setdefault(event.assoc, Transfer())
        transfer.refused += 1  # until it is taken
        try:
            arrived = judge(
                data,
                str(request.AffectedSOPClassUID),
                str(request.AffectedSOPInstanceUID),
                int(self._limits.unpacked_mb * MB),
            )
        except RefusedError as refused:
            return self._not_taken(event, data, refused)
        try:
            self._series.take(arrived, data)
            self._full = False
        except (OSError, InputError):
            if not self._full:  # one line until there is room again
                _log.warning("%s: an object of series %s: no room", caller_of(event), arrived.series_uid)
            self._full = True
            return RefusedError(OUT_OF_RESOURCES, "no room; send it again later").answer()
        transfer.refused -= 1
        transfer.taken[arrived.study_uid, str(request.AffectedSOPClassUID)] += 1
        return SUCCESS

    def _not_taken(self, event: Event, data: bytes, refused: RefusedError) -> Dataset:
        try:
            kept = self._spool.put_aside(data, refused.reason)
        except (OSError, InputError):
            kept = False
        where = "kept aside" if kept else "not kept"
        _log.warning("%s: an object %s: answered 0x%04X, %s", caller_of(event), refused.reason, refused.status, where)
        return refused.answer()
