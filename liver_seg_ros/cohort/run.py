# SPDX-License-Identifier: Apache-2.0
"""A cohort from its cases to its rows: what was done before is not done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from liver_seg_ros.cohort.listing import CohortCase
from liver_seg_ros.cohort.rows import Row, failed_row, read_row

if TYPE_CHECKING:
    from distributed import Client

    from liver_seg_ros.cohort.pacs import PacsCases
    from liver_seg_ros.cohort.work import Options

CASES = "cases"
#: Hears of each new row: the row, how many are done, how many were to be done, and the share of the work that is done.
Told = Callable[[Row, int, int, float], None]


def run_cohort(
    cases: Sequence[CohortCase],
    output: Path,
    options: Options,
    client: Client,
    told: Told,
    pacs: PacsCases | None = None,
) -> list[Row]:
    """The rows of all cases, in their order.

    The largest is begun first, so that no worker is left alone with it at the end. A case
    whose files, options and package version are those of a row that is there already is not worked on again; one that
    failed is.

    Args:
        cases: from `listing.list_cases`.
        output: each case gets the folder `cases/<name>` in it.
        options: the same for all.
        client: of the processes that work; they must see the same paths.
        told: hears of each new row.
        pacs: where the cases are; None for files.
    """
    from liver_seg_ros.cohort.cluster import WorkerDiedError, each_done
    from liver_seg_ros.cohort.work import ROW, bytes_of, key_of, work_on

    # Workers of another machine have another working directory.
    cases = [replace(c, ct=c.ct.absolute(), truth=c.truth and c.truth.absolute()) for c in cases]
    folders = [output.absolute() / CASES / case.name for case in cases]
    keys = [key_of(case, options, None if pacs is None else pacs.identity(case)) for case in cases]
    rows: dict[int, Row] = {
        place: row for place, folder in enumerate(folders) if (row := read_row(folder / ROW, keys[place])) is not None
    }
    sizes = {
        place: bytes_of(case) if pacs is None else pacs.objects(case)
        for place, case in enumerate(cases)
        if place not in rows
    }
    left = sorted(sizes, key=lambda place: -sizes[place])
    wanted = [cases[place] for place in left]
    ready = wanted if pacs is None else pacs.fetched(wanted)
    jobs = ((case, folders[place], keys[place], options) for place, case in zip(left, ready, strict=True))
    shares = _shares([sizes[place] for place in left])
    share_done = 0.0
    for done, (job, result) in enumerate(each_done(client, work_on, jobs), 1):
        case = cases[left[job]]
        row = failed_row(case.name, case.source, str(result)) if isinstance(result, WorkerDiedError) else result
        rows[left[job]] = row
        share_done += shares[job]
        if pacs is not None:
            pacs.done(case)
        told(row, done, len(left), share_done)
    return [rows[place] for place in range(len(cases))]


def _shares(sizes: Sequence[int]) -> list[float]:
    """Of the work, that cases of these sizes are; a case of unknown size counts as a mean one."""
    known = [size for size in sizes if size > 0]
    mean = sum(known) / len(known) if known else 1.0
    weights = [size or mean for size in sizes]
    return [weight / sum(weights) for weight in weights]
