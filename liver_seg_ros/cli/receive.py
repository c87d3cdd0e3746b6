# SPDX-License-Identifier: Apache-2.0
"""`liver-seg receive`: CTs sent by scanners and a PACS into a folder, each complete one to a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.dicom_options import NETWORK, Title, TlsAuthority, TlsCertificate, TlsKey
from liver_seg_ros.cli.help import INPUT, OUTPUT
from liver_seg_ros.cli.options import Debug, Json, Quiet, Verbose

EXAMPLES = (
    "liver-seg receive spool --peer SCANNER",
    "liver-seg receive spool --address 0.0.0.0 --peer PACS@10.0.0.5 --pacs PACS@10.0.0.5:104",
    "liver-seg receive spool --peer SCANNER --run 'liver-seg segment {folder} -o results/{series}'",
)


def command(
    spool: Annotated[Path, typer.Argument(metavar="SPOOL", help="Folder for what comes; made where missing.")],
    title: Title = "LIVERSEG",
    port: Annotated[
        int,
        typer.Option(metavar="NUMBER", help="TCP port; 0 for a free one.", min=0, max=65535, rich_help_panel=NETWORK),
    ] = 11112,
    address: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Interface to listen on.", rich_help_panel=NETWORK)
    ] = "127.0.0.1",
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TITLE", help="Who may send, TITLE or TITLE@address; repeatable.", rich_help_panel=NETWORK
        ),
    ] = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_ca: TlsAuthority = None,
    pacs: Annotated[
        str | None,
        typer.Option(metavar="PEER", help="TITLE@host:port to ask how many a series has.", rich_help_panel=INPUT),
    ] = None,
    quiet_s: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="A series of unknown length is complete then.", min=0, rich_help_panel=INPUT
        ),
    ] = 10.0,
    deadline_s: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="A series that lacks some is named then.", min=0, rich_help_panel=INPUT),
    ] = 600.0,
    associations: Annotated[
        int, typer.Option(metavar="NUMBER", help="Most senders at once.", min=1, rich_help_panel=NETWORK)
    ] = 20,
    spool_gb: Annotated[
        float | None,
        typer.Option(
            metavar="GB", help="Most that the spool may hold.", show_default="the disk", rich_help_panel=OUTPUT
        ),
    ] = None,
    keep_free_gb: Annotated[
        float, typer.Option(metavar="GB", help="Disk space that is left free.", min=0, rich_help_panel=OUTPUT)
    ] = 1.0,
    run: Annotated[
        str | None,
        typer.Option(metavar="LINE", help="Command line to run for each complete series.", rich_help_panel=OUTPUT),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End after the first complete series.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Receive CTs over DICOM (C-STORE, C-ECHO).

    A complete series appears in SPOOL/complete/<series UID>, which `ct_source` watches (watch_folder), or goes to a
    command, in which {folder} and {series} are filled in. Listens on this machine only, unless told otherwise; ends on
    a signal, after which the next start goes on.
    """
    from liver_seg_ros.extras import need

    need("dicom", "receive")
    import threading

    from liver_seg_ros.cli.console import print_json, print_words
    from liver_seg_ros.cli.tables import Words
    from liver_seg_ros.dicom_network.completeness import Patience
    from liver_seg_ros.dicom_network.delivery import Delivery
    from liver_seg_ros.dicom_network.encryption import tls_context
    from liver_seg_ros.dicom_network.incoming import IncomingSeries
    from liver_seg_ros.dicom_network.limits import ReceiveLimits
    from liver_seg_ros.dicom_network.peers import parse_allowed, parse_peer
    from liver_seg_ros.dicom_network.query import counter
    from liver_seg_ros.dicom_network.receiver import Listening, Receiver
    from liver_seg_ros.dicom_network.spool import Spool

    listening = Listening(
        title, port, address, [parse_allowed(text) for text in peer or ()], tls_context(tls_cert, tls_key, tls_ca, True)
    )
    outgoing = tls_context(tls_cert, tls_key, tls_ca, False) if pacs is not None else None
    count = None if pacs is None else counter(parse_peer(pacs), title, outgoing)
    limits = ReceiveLimits(
        associations=associations,
        spool_mb=None if spool_gb is None else spool_gb * 1e3,
        keep_free_mb=keep_free_gb * 1e3,
    )
    patience = Patience(quiet_s, min(quiet_s, 1.0), max(deadline_s, quiet_s))
    place = Spool(spool, limits)
    delivery = Delivery(place, run) if run is not None else None
    complete: list[Path] = []
    ended = threading.Event()

    def deliver(folder: Path) -> None:
        complete.append(folder)
        if not quiet and not as_json:
            print_words(Words(f"complete: {folder}", whole=True))
        if delivery is not None:
            delivery(folder)
        if once:
            ended.set()

    series = IncomingSeries(place, patience, limits, deliver, count)
    receiver = Receiver(place, series, listening, limits)
    found = receiver.start()
    if not quiet and not as_json:
        print_words(Words(f"{title} listens on {address}:{found}", whole=True))
    series.start()
    ended.wait()
    receiver.stop()
    series.stop()
    if delivery is not None:
        delivery.wait()
    if as_json:
        print_json({"folder": str(complete[0]), "series": complete[0].name, "objects": place.count(complete[0])})
