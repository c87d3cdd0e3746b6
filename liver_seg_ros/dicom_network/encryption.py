# SPDX-License-Identifier: Apache-2.0
"""TLS for associations, both ways (DICOM PS3.15 B.12: TLS 1.2 and later, each side with a certificate)."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

from liver_seg_ros.errors import InputError


class _PatientContext(ssl.SSLContext):
    """Shakes hands when something is read, not where connections are accepted: who is silent keeps nobody waiting."""

    def wrap_socket(self, sock: socket.socket, server_side: bool = False, **options: Any) -> ssl.SSLSocket:  # type: ignore[override]
        """As the base class does, without the handshake where this side is called."""
        return super().wrap_socket(sock, server_side, do_handshake_on_connect=not server_side, **options)


def tls_context(
    certificate: Path | None, key: Path | None, authority: Path | None, listens: bool
) -> ssl.SSLContext | None:
    """The context of these files; None where none is given.

    Args:
        certificate, key: this side's own; both or neither.
        authority: certificates of those who sign the other side's, which it then has to show.
        listens: whether this side is called.

    Raises:
        InputError: a file cannot be read, or the files do not belong together.
    """
    if certificate is None and key is None and authority is None:
        return None
    if (certificate is None) != (key is None) or (listens and certificate is None):
        raise InputError("TLS takes a certificate and its key: give both with --tls-cert and --tls-key")
    if not listens and authority is None:
        raise InputError("TLS needs to know whom to trust: give the authority's certificate with --tls-ca")
    context = _PatientContext(ssl.PROTOCOL_TLS_SERVER if listens else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Peers are called by addresses, which their certificates seldom name: whom the authority has signed is trusted.
    context.check_hostname = False
    try:
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        if authority is not None:
            context.load_verify_locations(authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"the files for TLS cannot be used: {error}") from error
    return context
