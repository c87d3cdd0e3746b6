# SPDX-License-Identifier: Apache-2.0
"""The options that the commands of DICOM's network share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NETWORK = "Network"

PeerArgument = Annotated[str, typer.Argument(metavar="PEER", help="The PACS, as TITLE@host:port.")]
Title = Annotated[str, typer.Option("--title", metavar="TITLE", help="Own AE title.", rich_help_panel=NETWORK)]
TlsCertificate = Annotated[
    Path | None,
    typer.Option("--tls-cert", metavar="FILE", help="Own certificate (PEM); encrypts.", rich_help_panel=NETWORK),
]
TlsKey = Annotated[
    Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key (PEM).", rich_help_panel=NETWORK)
]
TlsAuthority = Annotated[
    Path | None,
    typer.Option("--tls-ca", metavar="FILE", help="Who signed the other side's certificate.", rich_help_panel=NETWORK),
]
