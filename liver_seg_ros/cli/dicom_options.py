# SPDX-License-Identifier: Apache-2.0
"""The options that the commands of DICOM's network share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.help import INPUT

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
UserFile = Annotated[
    Path | None,
    typer.Option(
        "--user-file", metavar="FILE", help="Who calls: a line NAME:PASSCODE, for others unreadable.",
        rich_help_panel=NETWORK,
    ),
]  # fmt: skip
AuditFile = Annotated[
    Path | None,
    typer.Option(
        "--audit-file", metavar="FILE", help="Audit trail to append to (DICOM PS3.15).", rich_help_panel=NETWORK
    ),
]
PatientId = Annotated[
    str, typer.Option("--patient", metavar="ID", help="Patient ID.", show_default="any", rich_help_panel=INPUT)
]
Accession = Annotated[
    str,
    typer.Option("--accession", metavar="NUMBER", help="Accession number.", show_default="any", rich_help_panel=INPUT),
]
StudyDate = Annotated[
    str,
    typer.Option(
        "--date",
        metavar="DATE",
        help="Study date YYYYMMDD, or two with a dash.",
        show_default="any",
        rich_help_panel=INPUT,
    ),
]
StudyUid = Annotated[
    str, typer.Option("--study", metavar="UID", help="Study Instance UID.", show_default="any", rich_help_panel=INPUT)
]
Move = Annotated[
    bool, typer.Option("--move", help="By C-MOVE to --title, which the PACS has to know.", rich_help_panel=NETWORK)
]
MovePort = Annotated[
    int,
    typer.Option("--port", metavar="NUMBER", help="TCP port to listen on with --move.", min=1, rich_help_panel=NETWORK),
]
MoveAddress = Annotated[
    str,
    typer.Option("--address", metavar="ADDRESS", help="Interface to listen on with --move.", rich_help_panel=NETWORK),
]
