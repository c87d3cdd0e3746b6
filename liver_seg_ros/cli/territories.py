# SPDX-License-Identifier: Apache-2.0
"""`liver-seg territories`: which part of the liver each branch of the portal vein supplies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from liver_seg_ros.cli.options import (
    Acquisition,
    Ct,
    Debug,
    Json,
    Labels,
    OutputFolder,
    Overwrite,
    Quiet,
    SeriesUid,
    Verbose,
    Whose,
    whole_numbers,
)

LABELS, ROWS, VALUES = NAMES = ("territories.nii.gz", "territories.csv", "territories.json")
#: Raised when a key of `territories.json` changes its meaning or goes away.
FORMAT = 1
#: Group of options in `--help`.
DIVISION = "Division"
#: Rows of a table shown in a terminal; the files have all.
SHOWN = 20
#: Said where it decides.
ALL_TREES = (
    "The labels do not tell portal from hepatic veins: what divides the liver here may be a hepatic vein. Choose with "
    "--trees or --stems, or label them apart."
)

EXAMPLES = (
    "liver-seg territories labels.nii.gz -o territories",
    "liver-seg territories labels.nii.gz -o territories --generation 2 --resect 1,3",
    "liver-seg territories labels.nii.gz -o territories --stems 4,9,17",
)


def command(
    labels: Labels,
    output: OutputFolder,
    ct: Ct = None,
    series: SeriesUid = None,
    acquisition: Acquisition = None,
    whose: Whose = None,
    generation: Annotated[
        int,
        typer.Option(metavar="N", help="Forks before the branches that divide it.", min=0, rich_help_panel=DIVISION),
    ] = 1,
    trees: Annotated[
        tuple | None,
        typer.Option(
            metavar="N,N",
            help="Trees that are portal, from 0.",
            parser=whole_numbers,
            show_default="as labelled, or all",
            rich_help_panel=DIVISION,
        ),
    ] = None,
    stems: Annotated[
        tuple | None,
        typer.Option(
            metavar="N,N",
            help="Branches of vessel_tree.json that divide it instead.",
            parser=whole_numbers,
            rich_help_panel=DIVISION,
        ),
    ] = None,
    resect: Annotated[
        tuple | None,
        typer.Option(
            metavar="N,N",
            help="Territories to take out, to see what is left.",
            parser=whole_numbers,
            rich_help_panel=DIVISION,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Divide the liver among the branches of its portal vein, with volumes.

    Writes territories.nii.gz (labels 1, 2, ... on the grid of LABELS, largest first), territories.csv and
    territories.json. Where there is no liver or no vessel to divide it by, the same files are written, a line says so,
    and the exit code is 1.
    """
    from liver_seg_ros.cli.case import read_case
    from liver_seg_ros.cli.console import print_json, print_tables, print_written
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.cli.resection_table import resection_table
    from liver_seg_ros.cli.territory_tables import territories_table
    from liver_seg_ros.cli.warning_lines import warning_lines
    from liver_seg_ros.files.itk import write_itk
    from liver_seg_ros.files.plans import write_rows, write_values
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.planning.resection import resect_territories
    from liver_seg_ros.planning.territories import are_portal, portal_territories, stems_of_generation
    from liver_seg_ros.planning.territory_rows import COLUMNS, territory_rows
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.reconstruction.measuring.structures import measure
    from liver_seg_ros.reconstruction.vessels.extraction import vessel_tree
    from liver_seg_ros.report import versions

    place = ResultFolder(output, "territories", NAMES, (labels, ct), overwrite)
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        with stages.stage("read") as done:
            case = read_case(labels, ct, series, acquisition, whose, done)
        with stages.stage("vessels"):
            tree = vessel_tree(case.labels)
        with stages.stage("territories"):
            chosen = stems_of_generation(tree, generation, trees) if stems is None else stems
            divided = portal_territories(case.labels, tree, chosen)
            resection = None
            if resect is not None:
                _check_there(resect, len(divided.territories))
                resection = resect_territories(divided, tree, [number - 1 for number in resect])
        with stages.stage("measure"):
            warnings = case.warnings(measure(case.labels))
        rows = territory_rows(divided, tree)
        values = {
            "format": FORMAT,
            "input": str(labels),
            "uid": case.labels.uid,
            "synthetic": case.synthetic,
            "warnings": [asdict(warning) for warning in warnings],
            "portal_known": are_portal(tree, chosen),
            "territories": [dict(zip(COLUMNS, row, strict=True)) for row in rows],
            "unassigned_ml": divided.unassigned_ml,
            "tumor_ml": divided.tumor_ml,
            "resection": None if resection is None else resection.to_dict(),
            "seconds": {stage: round(seconds, 3) for stage, seconds in stages.seconds.items()},
            "versions": versions(),
        }
        with place.filled() as folder:
            write_itk(folder / LABELS, divided.labels_on(case.labels.geometry), case.labels.geometry)
            write_rows(folder / ROWS, COLUMNS, rows)
            write_values(folder / VALUES, values)
    if as_json:
        print_json(values)
    elif not quiet:
        tables = [territories_table(divided, tree)] if rows else []
        tables += [] if resection is None else [resection_table(resection)]
        notes = () if are_portal(tree, chosen) or not rows else (ALL_TREES,)
        print_tables(labels, tables, (*notes, *warning_lines(warnings), *case.notes), most_rows=SHOWN)
        print_written(output, sorted(NAMES))
    if not rows:
        what = "no vessel to divide the liver by" if divided.array.size else "no liver"
        typer.echo(f"liver-seg: {labels}: there is {what}", err=True)
        raise typer.Exit(1)


def _check_there(numbers: Sequence[int], count: int) -> None:
    from liver_seg_ros.errors import InputError

    if wrong := [number for number in numbers if not 1 <= number <= count]:
        raise InputError(f"--resect {wrong[0]}: there are {count} territories, numbered from 1")
