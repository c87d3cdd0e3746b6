# SPDX-License-Identifier: Apache-2.0
"""A receiver as a whole, of what its user says: what `liver-seg receive` runs, and the node `dicom_receiver`."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from liver_seg_ros.dicom_network.audit import AuditTrail
from liver_seg_ros.dicom_network.commitment import CommitmentService
from liver_seg_ros.dicom_network.completeness import Patience
from liver_seg_ros.dicom_network.encryption import tls_context
from liver_seg_ros.dicom_network.identity import read_users
from liver_seg_ros.dicom_network.incoming import Count, IncomingSeries
from liver_seg_ros.dicom_network.limits import ReceiveLimits
from liver_seg_ros.dicom_network.peers import parse_allowed, parse_peer
from liver_seg_ros.dicom_network.performed_steps import PerformedSteps
from liver_seg_ros.dicom_network.query import counter
from liver_seg_ros.dicom_network.receiver import Listening, Receiver, Service
from liver_seg_ros.dicom_network.spool import Spool
from liver_seg_ros.dicom_network.step_service import StepService

#: Without an object, where the objects themselves told how many there are.
_SETTLED_S = 1.0
_MB_PER_GB = 1000.0


@dataclass(frozen=True)
class ReceptionOptions:
    """What a user says of a receiver.

    Attributes:
        title: own AE title.
        address, port: where it listens; port 0 takes a free one.
        peers: who may send, `TITLE` or `TITLE@address`; anybody on an empty one.
        certificate, key, authority: for TLS, see `encryption.tls_context`.
        user_file: names and passcodes of those who may send, see `identity.read_users`; None where nobody is asked.
        pacs: `TITLE@host:port` to ask how many objects a series has; None for nobody.
        quiet_s, deadline_s: see `completeness.Patience`.
        associations: most senders at once.
        object_mb: of one object as sent.
        spool_gb: most that the spool may hold; None for the disk.
        keep_free_gb: disk space that is left free.
        commitment: whether senders are told that what they sent is kept.
        audit_file: that gets the audit trail; None for no trail.
    """

    title: str = "LIVERSEG"
    address: str = "127.0.0.1"
    port: int = 11112
    peers: Sequence[str] = ()
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None
    user_file: Path | None = None
    pacs: str | None = None
    quiet_s: float = 10.0
    deadline_s: float = 600.0
    associations: int = 20
    object_mb: float = 600.0
    spool_gb: float | None = None
    keep_free_gb: float = 1.0
    commitment: bool = False
    audit_file: Path | None = None

    def limits(self) -> ReceiveLimits:
        """What bounds it."""
        return ReceiveLimits(
            associations=self.associations,
            object_mb=self.object_mb,
            spool_mb=None if self.spool_gb is None else self.spool_gb * _MB_PER_GB,
            keep_free_mb=self.keep_free_gb * _MB_PER_GB,
        )

    def patience(self) -> Patience:
        """How long it waits."""
        return Patience(self.quiet_s, min(self.quiet_s, _SETTLED_S), max(self.deadline_s, self.quiet_s))

    def listening(self) -> Listening:
        """Where it listens, and for whom."""
        peers = [parse_allowed(text) for text in self.peers]
        tls = tls_context(self.certificate, self.key, self.authority, True)
        users = read_users(self.user_file, self.address, tls is not None)
        return Listening(self.title, self.port, self.address, peers, tls, users)

    def count(self) -> Count | None:
        """Asks the PACS."""
        return None if self.pacs is None else counter(parse_peer(self.pacs), self.title, self.tls_out())

    def tls_out(self) -> ssl.SSLContext | None:
        """For whom it calls itself."""
        return tls_context(self.certificate, self.key, self.authority, False)


class Reception:
    """A spool, what listens for it, and the watch over its series, from `start` to `stop`.

    Args:
        folder: of the spool; made where it is missing.
        options: what the user says.
        deliver: is called with the folder of each complete series, on a thread of its own.
        around: makes what surrounds all that is done on threads of its own.

    Raises:
        InputError: an option cannot be used, or the folder, or another process has it.
    """

    def __init__(
        self,
        folder: Path,
        options: ReceptionOptions,
        deliver: Callable[[Path], None],
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        limits, patience, listening, count = options.limits(), options.patience(), options.listening(), options.count()
        self.spool = Spool(folder, limits)
        self._trail = None if options.audit_file is None else AuditTrail(options.audit_file, options.title)
        steps = PerformedSteps(self.spool.steps)
        self._series = IncomingSeries(self.spool, patience, limits, deliver, count, steps.objects, around)
        services: list[Service] = [StepService(steps)]
        if options.commitment:
            services.append(CommitmentService(self.spool, listening.peers, options.title, options.tls_out(), around))
        self._receiver = Receiver(self.spool, self._series, listening, limits, services, around, self._trail)

    def start(self) -> int:
        """Listen; the port. Raises `InputError` where that cannot be, and then leaves the spool to others."""
        try:
            port = self._receiver.start()
        except BaseException:
            self.spool.close()
            raise
        self._series.start()
        if self._trail is not None:
            self._trail.started()
        return port

    def stop(self) -> None:
        """End all associations and watch no more. The spool is this process's until it is closed."""
        self._receiver.stop()
        self._series.stop()
        if self._trail is not None:
            self._trail.stopped()
            self._trail.close()
