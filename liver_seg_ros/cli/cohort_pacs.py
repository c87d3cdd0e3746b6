# SPDX-License-Identifier: Apache-2.0
"""The cases of `liver-seg cohort` from a PACS, of the command's options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liver_seg_ros.errors import InputError
from liver_seg_ros.extras import need

if TYPE_CHECKING:
    from liver_seg_ros.cohort.pacs import PacsCases

#: In the cohort's folder, while it runs.
SPOOL = "spool"


@dataclass(frozen=True)
class PacsOptions:
    """What the user says of the PACS; see the command's options of the same names."""

    patient: str
    accession: str
    date: str
    study: str
    description: str
    spool_gb: float
    move: bool
    port: int
    address: str
    title: str
    tls_cert: Path | None
    tls_key: Path | None
    tls_ca: Path | None
    user_file: Path | None

    def cases(self, pacs: str, output: Path) -> PacsCases:
        """The series that `pacs` (`TITLE@host:port`) has of this kind; they will be fetched into `output`."""
        need("dicom", "a cohort from a PACS")
        from liver_seg_ros.cohort.pacs import PacsCases, find
        from liver_seg_ros.dicom_network.calling import Caller
        from liver_seg_ros.dicom_network.encryption import tls_context
        from liver_seg_ros.dicom_network.identity import read_user
        from liver_seg_ros.dicom_network.limits import ReceiveLimits
        from liver_seg_ros.dicom_network.peers import AllowedPeer, parse_peer
        from liver_seg_ros.dicom_network.query import Wanted
        from liver_seg_ros.dicom_network.receiver import Listening

        if not (self.patient or self.accession or self.date or self.study):
            raise InputError("a whole PACS is no cohort; give --date, --patient, --accession or --study")
        peer = parse_peer(pacs)
        files = self.tls_cert, self.tls_key, self.tls_ca
        tls = tls_context(*files, listens=False)
        caller = Caller(peer, self.title, tls, read_user(self.user_file, peer.host, tls is not None))
        listening = None
        if self.move:
            own = tls_context(*files, listens=True)
            listening = Listening(self.title, self.port, self.address, [AllowedPeer(peer.title)], own)
        series = find(caller, Wanted(self.patient, self.accession, self.date, self.study), self.description)
        limits = ReceiveLimits(spool_mb=self.spool_gb * 1000)
        return PacsCases(caller, series, output.absolute() / SPOOL, limits, listening)


def is_pacs(source: Path) -> bool:
    """Whether the argument names a PACS and no file."""
    return "@" in source.name and ":" in source.name and not source.exists()
