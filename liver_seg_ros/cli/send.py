# SPDX-License-Identifier: Apache-2.0
"""`liver-seg send`: DICOM objects to a PACS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.dicom_options import PeerArgument, Title, TlsAuthority, TlsCertificate, TlsKey, UserFile
from liver_seg_ros.cli.options import Debug, Json, Quiet, Verbose

EXAMPLES = ("liver-seg send PACS@10.0.0.5:104 to_pacs", "liver-seg send PACS@10.0.0.5:104 found/labels.dcm")


def command(
    peer: PeerArgument,
    paths: Annotated[list[Path], typer.Argument(metavar="PATHS", help="DICOM files, or folders of them.")],
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
    """Send DICOM objects to a PACS (C-STORE), such as those of `liver-seg export`.

    Each is answered for by the PACS; the first that it does not take ends the command.
    """
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.extras import need

    need("dicom", "send")
    from liver_seg_ros.cli.console import print_json, print_words
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.cli.tables import Words
    from liver_seg_ros.dicom_network.calling import Caller
    from liver_seg_ros.dicom_network.encryption import tls_context
    from liver_seg_ros.dicom_network.identity import read_user
    from liver_seg_ros.dicom_network.peers import parse_peer
    from liver_seg_ros.dicom_network.send import dicom_files, send
    from liver_seg_ros.progress import Stages

    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder. Check the path.")
    called, tls = parse_peer(peer), tls_context(tls_cert, tls_key, tls_ca, False)
    caller = Caller(called, title, tls, read_user(user_file, called.host, tls is not None))
    with shown_progress(quiet, as_json) as progress, Stages(progress).stage("send") as done:
        count = send(caller, dicom_files(paths), done)
    if as_json:
        print_json({"sent": count, "peer": caller.peer.title})
    elif not quiet:
        print_words(Words(f"{caller.peer.title} took {count} objects"))
