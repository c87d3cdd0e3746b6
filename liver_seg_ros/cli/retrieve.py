# SPDX-License-Identifier: Apache-2.0
"""`liver-seg retrieve`: a CT series from a PACS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.dicom_options import (
    Move,
    MoveAddress,
    MovePort,
    PeerArgument,
    Title,
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    UserFile,
)
from liver_seg_ros.cli.help import INPUT, OUTPUT
from liver_seg_ros.cli.options import Debug, Json, Quiet, Verbose

EXAMPLES = (
    "liver-seg retrieve PACS@10.0.0.5:104 --study 1.2.3 --series 1.2.3.4 -o spool",
    "liver-seg retrieve PACS@10.0.0.5:104 --study 1.2.3 --series 1.2.3.4 -o spool --move --address 10.0.0.7",
)


def command(
    peer: PeerArgument,
    study: Annotated[str, typer.Option(metavar="UID", help="Study Instance UID.", rich_help_panel=INPUT)],
    series: Annotated[str, typer.Option(metavar="UID", help="Series Instance UID.", rich_help_panel=INPUT)],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="SPOOL", help="Folder, as of `receive`.", rich_help_panel=OUTPUT),
    ],
    move: Move = False,
    port: MovePort = 11112,
    address: MoveAddress = "127.0.0.1",
    title: Title = "LIVERSEG",
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_ca: TlsAuthority = None,
    user_file: UserFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Fetch a CT series from a PACS (C-GET or C-MOVE).

    It is in SPOOL/complete/<series UID> once all objects that the PACS has are there, whole. Fewer are an error; they
    stay, and the next try goes on.
    """
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.extras import need

    need("dicom", "retrieve")
    from liver_seg_ros.cli.console import print_json, print_words
    from liver_seg_ros.cli.tables import Words
    from liver_seg_ros.dicom_network.arrived import is_uid
    from liver_seg_ros.dicom_network.calling import Caller
    from liver_seg_ros.dicom_network.encryption import tls_context
    from liver_seg_ros.dicom_network.identity import read_user
    from liver_seg_ros.dicom_network.limits import ReceiveLimits
    from liver_seg_ros.dicom_network.peers import AllowedPeer, parse_peer
    from liver_seg_ros.dicom_network.query import Wanted, find_series
    from liver_seg_ros.dicom_network.receiver import Listening
    from liver_seg_ros.dicom_network.retrieve import retrieve
    from liver_seg_ros.dicom_network.spool import Spool

    if not (is_uid(study) and is_uid(series)):
        raise InputError("--study and --series are UIDs: numbers with dots between, as `liver-seg query` lists them")
    pacs = parse_peer(peer)
    tls = tls_context(tls_cert, tls_key, tls_ca, False)
    caller = Caller(pacs, title, tls, read_user(user_file, pacs.host, tls is not None))
    found = find_series(caller, Wanted(study_uid=study, series_uid=series))
    if not found:
        raise InputError(f"{pacs.title} has no CT series {series} in study {study}; see `liver-seg query`")
    limits = ReceiveLimits()
    listening = None
    if move:
        listens = tls_context(tls_cert, tls_key, tls_ca, True)
        listening = Listening(title, port, address, [AllowedPeer(pacs.title)], listens)
    folder = retrieve(caller, found[0], Spool(output, limits), limits, listening)
    if as_json:
        print_json({"folder": str(folder), "series": series, "objects": Spool.count(folder)})
    elif not quiet:
        print_words(Words(f"complete: {folder}", whole=True))
