# SPDX-License-Identifier: Apache-2.0
"""`liver-seg cohort`: many CTs, on all cores or on a cluster."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from liver_seg_ros.cli.cohort_pacs import PacsOptions, is_pacs
from liver_seg_ros.cli.dicom_options import (
    NETWORK,
    Accession,
    AuditFile,
    Move,
    MoveAddress,
    MovePort,
    PatientId,
    StudyDate,
    StudyUid,
    Title,
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    UserFile,
)
from liver_seg_ros.cli.help import INPUT, OUTPUT
from liver_seg_ros.cli.options import (
    Debug,
    Json,
    ModelsFolder,
    OutputFolder,
    Overwrite,
    Precision,
    Quiet,
    Runtime,
    Verbose,
    Whose,
)

if TYPE_CHECKING:
    from liver_seg_ros.cohort.pacs import PacsCases
    from liver_seg_ros.cohort.rows import Row
    from liver_seg_ros.cohort.run import Told

STEM = "cohort"
#: Of the page.
PAGE_FILES = ("index.html", "worst.png")

EXAMPLES = (
    "liver-seg cohort cts/ -o study",
    "liver-seg cohort cases.csv -o study --workers 8 --memory-gb 4",
    "liver-seg cohort PACS@10.0.0.5:104 --date 20260101-20260131 --description '*venous*' -o study",
    "liver-seg cohort cases.csv -o /shared/study --scheduler tcp://10.0.0.5:8786",
)

WORKERS = "Workers"


def command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="Folder of CTs, CSV with a column ct (and case, truth), or PACS as TITLE@host:port."
        ),
    ],
    output: OutputFolder,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, metavar="N", help="Processes, a core each.", show_default="one per core",
            rich_help_panel=WORKERS,
        ),
    ] = None,
    memory_gb: Annotated[
        float | None,
        typer.Option(
            "--memory-gb", min=0.1, metavar="GB", help="Of a worker, at most.",
            show_default="its share", rich_help_panel=WORKERS,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler", metavar="ADDRESS", help="Dask scheduler to use instead: tcp://HOST:PORT.",
            rich_help_panel=WORKERS,
        ),
    ] = None,
    models: ModelsFolder = None,
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    whose: Whose = None,
    patient: PatientId = "",
    accession: Accession = "",
    date: StudyDate = "",
    study: StudyUid = "",
    description: Annotated[
        str,
        typer.Option(
            "--description", metavar="TEXT", help="Of the series in a PACS, with * and ?.", show_default="any",
            rich_help_panel=INPUT,
        ),
    ] = "",
    spool_gb: Annotated[
        float,
        typer.Option("--spool-gb", min=0.001, metavar="GB", help="Most that waits of a PACS.", rich_help_panel=NETWORK),
    ] = 20.0,
    move: Move = False,
    port: MovePort = 11112,
    address: MoveAddress = "127.0.0.1",
    title: Title = "LIVERSEG",
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_ca: TlsAuthority = None,
    user_file: UserFile = None,
    audit_file: AuditFile = None,
    no_page: Annotated[
        bool, typer.Option("--no-page", help="Leave out index.html and worst.png.", rich_help_panel=OUTPUT)
    ] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Segment, measure and, where the truth is known, score many CTs; one row for each.

    In a folder each volume file is a case, and each folder that holds ct.* (with labels.* as its truth) or DICOM.
    Of a PACS, each CT series that was asked for is one: fetched, worked on, and dropped again.
    Writes cohort.csv, cohort.parquet and a page, and for each case cases/NAME/labels.nii.gz and report.json. A CT that
    fails is a row that says why. Run again with the same -o, it goes on where it ended: what is done is not done again,
    what failed is. Exit code 1 where a case failed.
    """
    from liver_seg_ros.cohort.listing import list_cases
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.extras import need
    from liver_seg_ros.outputs.folder import ResultFolder

    need("cohort", "cohort")
    if not no_page:
        need("pages", "the page of a cohort")
    if scheduler is not None and (workers is not None or memory_gb is not None):
        raise InputError("--scheduler has workers of its own: leave out --workers and --memory-gb")
    asks = is_pacs(source)
    tables = (f"{STEM}.csv", f"{STEM}.parquet")
    access = tls_cert, tls_key, tls_ca, user_file
    kept = (None if asks else source, models, audit_file, *access)
    place = ResultFolder(output, "cohort", (*tables, *PAGE_FILES), kept, overwrite)
    if not asks and (patient or accession or date or study or description or move or audit_file):
        raise InputError(f"{source} is no PACS, which alone can be asked so; give TITLE@host:port")
    pacs = None
    if asks:
        wanted = PacsOptions(
            patient, accession, date, study, description, spool_gb, move, port, address, title, *access
        )
        pacs = wanted.cases(str(source), output)
    cases = list_cases(source) if pacs is None else pacs.cases()

    from liver_seg_ros.cli.console import print_json, print_written
    from liver_seg_ros.cohort.cluster import begin_on_all, local_client, remote_client
    from liver_seg_ros.cohort.rows import FAILED, write_tables
    from liver_seg_ros.cohort.run import run_cohort
    from liver_seg_ros.cohort.work import Options, prepare
    from liver_seg_ros.inference.segmenter import load_default_segmenter

    options = Options(None if models is None else str(models.absolute()), runtime, precision, whose)
    load_default_segmenter(models, runtime, precision)  # what is wrong with the networks is no case's fault
    lines = _Lines(quiet or as_json)
    with local_client(workers, memory_gb) if scheduler is None else remote_client(scheduler) as client:
        begin_on_all(client, prepare, options)
        told = lines.told if pacs is None or audit_file is None else _audited(pacs, audit_file, title, lines.told)
        rows = run_cohort(cases, output, options, client, told, pacs)
    names = list(tables)
    with place.filled() as folder:
        write_tables(folder, STEM, rows)
        if not no_page:
            from liver_seg_ros.cohort.summary import read_ct, write_summary

            read = read_ct if pacs is None else pacs.read
            names += write_summary(folder, source, rows, output, read)
    if pacs is not None:
        pacs.close()
    failed = [row for row in rows if row["status"] == FAILED]
    if as_json:
        print_json({"input": str(source), "cases": rows})
    elif not quiet:
        typer.echo(f"{len(rows)} cases, {len(failed)} of them failed")
        print_written(output, names)
    if failed:
        raise typer.Exit(1)


def _audited(pacs: PacsCases, audit_file: Path, title: str, told: Told) -> Told:
    """`told`, which also appends to the audit trail what became of each study."""
    from liver_seg_ros.cohort.rows import FAILED
    from liver_seg_ros.dicom_network.audit import AuditTrail

    trail = AuditTrail(audit_file, title)

    def audited(row: Row, done: int, total: int, share: float) -> None:
        why_not = row["message"] if row["status"] == FAILED else ""
        trail.processed(pacs.study(row["case"]), row.get("models", ""), why_not)
        told(row, done, total, share)

    return audited


class _Lines:
    """A line for each case as it ends, with the time that is left."""

    def __init__(self, silent: bool) -> None:
        self._silent, self._began = silent, perf_counter()

    def told(self, row: Row, done: int, total: int, share: float) -> None:
        from liver_seg_ros.cohort.rows import FOUND

        if self._silent:
            return
        left_s = (perf_counter() - self._began) / share * (1 - share)
        found = row["status"] == FOUND
        what = f"liver {row['liver_ml']:.0f} ml, {row['lesions']} lesions" if found else row["message"]
        left = f", {timedelta(seconds=round(left_s))} left" if done < total else ""
        typer.echo(
            f"{done}/{total} {row['case']}: {row['status']}, {what}, {row.get('seconds', 0):.0f} s{left}", err=True
        )
