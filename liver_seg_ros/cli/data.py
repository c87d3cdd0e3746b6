# SPDX-License-Identifier: Apache-2.0
"""`liver-seg data check`: what a data set holds, and what of it cannot be right, before anything is trained on it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.help import INPUT, OUTPUT
from liver_seg_ros.cli.options import Debug, Json, Overwrite, Quiet, Verbose
from liver_seg_ros.training.sources.names import ON_DISK

NAMES = ("data.csv", "data.json")

EXAMPLES = (
    "liver-seg data check LiTS17/",
    "liver-seg data check LiTS17/ 3Dircadb1/ -o looked",
    "liver-seg data check ours/pairs.yaml --json",
)


class Action(str, Enum):
    """What may be done with a data set."""

    CHECK = "check"


def command(
    action: Annotated[Action, typer.Argument(metavar="check", help="What to do; nothing is changed.")],
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders of data sets, or the YAML of your own.")
    ],
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            metavar="NAME",
            help=f"Which data set it is: {', '.join(ON_DISK[:-1])} or {ON_DISK[-1]}.",
            show_default="by its files",
            autocompletion=lambda: list(ON_DISK),
            rich_help_panel=INPUT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for files; made where missing.", rich_help_panel=OUTPUT
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Look at data sets before training: sizes, spacings, labels, doubles.

    Every scan is read. Told are files that cannot be read, labels on another grid than their CT, scans that are there
    twice (across the folders given, too), livers of impossible size or HU. Exit code 1 where a scan has such a problem.
    With -o also writes data.csv and data.json.
    """
    from liver_seg_ros.cli.console import print_json, print_tables, print_written
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.training.sources.catalog import open_source, sources_in
    from liver_seg_ros.training.sources.check import check_data_sets
    from liver_seg_ros.training.sources.check_report import (
        check_tables,
        check_to_dict,
        write_check_csv,
        write_check_json,
    )

    place = None if output is None else ResultFolder(output, "data", NAMES, folders, overwrite)
    data_sets = [open_source(name, path) for path in folders for name in ((layout,) if layout else sources_in(path))]
    abouts = [data_set.about for data_set in data_sets]
    with shown_progress(quiet, as_json) as progress, Stages(progress).stage("read") as done:
        scans = check_data_sets(data_sets, done)
    if place is not None:
        with place.filled() as folder:
            write_check_csv(folder / NAMES[0], scans)
            write_check_json(folder / NAMES[1], abouts, scans)
    if as_json:
        print_json(check_to_dict(abouts, scans))
    elif not (quiet and output is not None):
        terms = [f"{about.title}: license of the data {about.license}." for about in abouts]
        shared = [f"{about.title}: {about.shares}." for about in abouts if about.shares]
        print_tables(folders[0], check_tables(scans), (*terms, *shared), most_rows=50)
        if output is not None:
            print_written(output, NAMES)
    if any(scan.problems for scan in scans):
        raise typer.Exit(1)
