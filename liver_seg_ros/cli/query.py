# SPDX-License-Identifier: Apache-2.0
"""`liver-seg query`: which CT series a PACS has."""

from __future__ import annotations

from liver_seg_ros.cli.dicom_options import (
    Accession,
    PatientId,
    PeerArgument,
    StudyDate,
    StudyUid,
    Title,
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    UserFile,
)
from liver_seg_ros.cli.options import Debug, Json, Quiet, Verbose

EXAMPLES = (
    "liver-seg query PACS@10.0.0.5:104 --date 20260101-20260131",
    "liver-seg query PACS@10.0.0.5:104 --accession A1234 --json",
)


def command(
    peer: PeerArgument,
    patient: PatientId = "",
    accession: Accession = "",
    date: StudyDate = "",
    study: StudyUid = "",
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
    """List the CT series of a PACS (C-FIND).

    Shows date, number of objects, description and UIDs; patients' names are not asked for. Something has to be asked
    for: a patient, an accession number, a date or a study.
    """
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.extras import need

    need("dicom", "query")
    from liver_seg_ros.cli.console import print_json, print_words
    from liver_seg_ros.cli.tables import Words
    from liver_seg_ros.dicom_network.calling import Caller
    from liver_seg_ros.dicom_network.encryption import tls_context
    from liver_seg_ros.dicom_network.identity import read_user
    from liver_seg_ros.dicom_network.peers import parse_peer
    from liver_seg_ros.dicom_network.query import Wanted, find_series

    if not (patient or accession or date or study):
        raise InputError("a whole PACS is no question; give --patient, --accession, --date or --study")
    called, tls = parse_peer(peer), tls_context(tls_cert, tls_key, tls_ca, False)
    caller = Caller(called, title, tls, read_user(user_file, called.host, tls is not None))
    found = find_series(caller, Wanted(patient, accession, date, study))
    if as_json:
        print_json({"series": [series.to_dict() for series in found]})
        return
    for series in found:
        objects = "?" if series.objects is None else series.objects
        print_words(
            Words(f"{series.study_date or 'no date'}  {objects} objects  {series.description}"),
            Words(f"--study {series.study_uid} --series {series.series_uid}", whole=True, indent=2),
        )
    if not found:
        print_words(Words("no CT series"))
