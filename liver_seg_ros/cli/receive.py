# SPDX-License-Identifier: Apache-2.0
"""`liver-seg receive`: CTs sent by scanners and a PACS into a folder, each complete one to a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.dicom_options import NETWORK, AuditFile, Title, TlsAuthority, TlsCertificate, TlsKey
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
            metavar="TITLE", help="Who may send, TITLE or TITLE@address[:port]; repeatable.", rich_help_panel=NETWORK
        ),
    ] = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_ca: TlsAuthority = None,
    user_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Who may send, a line NAME:PASSCODE each.", rich_help_panel=NETWORK),
    ] = None,
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
    object_mb: Annotated[
        float, typer.Option(metavar="MB", help="Most that one object may have.", min=1, rich_help_panel=NETWORK)
    ] = 600.0,
    spool_gb: Annotated[
        float | None,
        typer.Option(
            metavar="GB", help="Most that the spool may hold.", show_default="the disk", rich_help_panel=OUTPUT
        ),
    ] = None,
    keep_free_gb: Annotated[
        float, typer.Option(metavar="GB", help="Disk space that is left free.", min=0, rich_help_panel=OUTPUT)
    ] = 1.0,
    commitment: Annotated[
        bool,
        typer.Option("--commitment", help="Tell who asks which objects the spool keeps.", rich_help_panel=OUTPUT),
    ] = False,
    audit_file: AuditFile = None,
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
    """Receive CTs over DICOM (C-STORE, C-ECHO, MPPS).

    A complete series appears in SPOOL/complete/<series UID>, which `ct_source` watches (watch_folder), or goes to a
    command, in which {folder} and {series} are filled in. Listens on this machine only, unless told otherwise; ends on
    a signal, after which the next start goes on.
    """
    from liver_seg_ros.extras import need

    need("dicom", "receive")
    import threading

    from liver_seg_ros.cli.console import print_json, print_words
    from liver_seg_ros.cli.tables import Words
    from liver_seg_ros.dicom_network.delivery import Delivery
    from liver_seg_ros.dicom_network.reception import Reception, ReceptionOptions

    options = ReceptionOptions(
        title, address, port, peer or (), tls_cert, tls_key, tls_ca, user_file, pacs, quiet_s, deadline_s,
        associations, object_mb, spool_gb, keep_free_gb, commitment, audit_file,
    )  # fmt: skip
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

    reception = Reception(spool, options, deliver)
    delivery = Delivery(reception.spool, run) if run is not None else None
    found = reception.start()
    if not quiet and not as_json:
        print_words(Words(f"{title} listens on {address}:{found}", whole=True))
    ended.wait()
    reception.stop()
    if delivery is not None:
        delivery.wait()
    if as_json:
        objects = reception.spool.count(complete[0])
        print_json({"folder": str(complete[0]), "series": complete[0].name, "objects": objects})
