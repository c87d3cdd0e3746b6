# SPDX-License-Identifier: Apache-2.0
"""Calling another application entity: an association that is open for a block, or one line why it could not be had."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE
from pynetdicom.presentation import PresentationContext

from liver_seg_ros.dicom_network.identity import User
from liver_seg_ros.dicom_network.peers import Peer, check_title
from liver_seg_ros.dicom_network.wire import MOST_PDU_BYTES
from liver_seg_ros.errors import InputError

#: Without an answer; a PACS may look for a while.
TIMEOUT_S = 60.0

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class Caller:
    """Who calls whom.

    Attributes:
        peer: who is called.
        title: the own AE title.
        tls: where it is to be encrypted.
        user: who calls, for peers that ask.
    """

    peer: Peer
    title: str = "LIVERSEG"
    tls: ssl.SSLContext | None = None
    user: User | None = None


@contextmanager
def association(
    caller: Caller, contexts: Sequence[PresentationContext], roles: Sequence[Any] = (), handlers: Sequence[Any] = ()
) -> Iterator[Any]:
    """An association with these presentation contexts.

    Args:
        caller: who calls whom.
        contexts: what is proposed.
        roles: of those in which the peer sends (C-GET).
        handlers: pynetdicom's, for what the peer sends.

    Raises:
        InputError: nobody answers there, the peer refuses, or it takes none of the contexts.
    """
    peer = caller.peer
    where = f"{peer.title}@{peer.host}:{peer.port}"
    entity = AE(ae_title=check_title(caller.title))
    entity.maximum_pdu_size = MOST_PDU_BYTES
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = TIMEOUT_S
    negotiated = [*roles, *([] if caller.user is None else [caller.user.item()])]
    try:
        opened = entity.associate(
            peer.host, peer.port, contexts=list(contexts), ae_title=peer.title, ext_neg=negotiated,
            evt_handlers=list(handlers), tls_args=(caller.tls, peer.host) if caller.tls is not None else None,
        )  # fmt: skip
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{where}: cannot be called ({error}). Check title, host and port.") from error
    try:
        if opened.is_rejected:
            who = "" if caller.user is None else " and this user"
            raise InputError(f"{where}: refuses an association with {caller.title}. It has to know this AE title{who}.")
        if not opened.is_established:
            raise InputError(f"{where}: nobody answers there. Check host, port and TLS.")
        yield opened
    finally:
        if opened.is_established:
            opened.release()
