# SPDX-License-Identifier: Apache-2.0
"""`liver-seg measure`: volumes, diameters, numbers and distances of structures and lesions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liver_seg_ros.cli.help import OUTPUT
from liver_seg_ros.cli.options import (
    Acquisition,
    Ct,
    Debug,
    Html,
    Json,
    Labels,
    Overwrite,
    Png,
    Quiet,
    SeriesUid,
    Verbose,
    Whose,
)

if TYPE_CHECKING:
    from liver_seg_ros.mesh import Mesh

NAMES = ("measurements.json", "measurements.csv")

EXAMPLES = (
    "liver-seg measure labels.nii.gz",
    "liver-seg measure total.nii.gz --labels totalsegmentator",
    "liver-seg measure labels.nii.gz --ct ct.nii.gz -o measured --html",
)


def command(
    labels: Labels,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for files; made where missing.", rich_help_panel=OUTPUT
        ),
    ] = None,
    ct: Ct = None,
    series: SeriesUid = None,
    acquisition: Acquisition = None,
    whose: Whose = None,
    png: Png = False,
    html: Html = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Measure structures and lesions: volumes, diameters, distances.

    Each figure has the uncertainty that the labels' resolution leaves. Prints tables; with -o also writes
    measurements.json and measurements.csv.
    """
    from liver_seg_ros.cli.case import read_case
    from liver_seg_ros.cli.console import print_json, print_tables, print_written
    from liver_seg_ros.cli.measurement_tables import lesions_table, structures_table
    from liver_seg_ros.cli.picture_names import picture_names
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.cli.warning_lines import warning_lines
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.extras import need
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.plain import plain
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.reconstruction.measuring.structures import measure

    if output is None and (png or html):
        raise InputError("pictures need a folder: give one with -o")
    if png or html:
        need("pages", "measure --png or --html")
    written: list[str] = []
    place = None
    if output is not None:
        place = ResultFolder(output, "measure", (*NAMES, *picture_names(png, html)), (labels, ct), overwrite)
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        with stages.stage("read") as done:
            case = read_case(labels, ct, series, acquisition, whose, done)
        with stages.stage("measure"):
            measurements = case.known(measure(case.labels))
            warnings = case.warnings(measurements)
        if place is not None:
            from liver_seg_ros.files.measurements import write_measurements

            with place.filled() as folder:
                for name in NAMES:
                    write_measurements(folder / name, measurements, warnings)
                meshes: tuple[Mesh, ...] = ()
                if png or html:
                    from liver_seg_ros.cli.pictures import write_html, write_png
                    from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct

                    meshes = reconstruct(case.labels, ReconstructionOptions(collision_margin_mm=0), progress).meshes
                if png:
                    with stages.stage("png"):
                        write_png(folder, case, meshes)
                if html:
                    with stages.stage("html") as done:
                        write_html(
                            folder, "Liver measurements", case, meshes, measurements, warnings=warnings, done=done
                        )
                written = sorted(path.name for path in folder.iterdir())
    if as_json:
        print_json(
            {
                "input": str(labels),
                "uid": case.labels.uid,
                "synthetic": case.synthetic,
                "warnings": plain(warnings),
                "structures": plain(measurements),
            }
        )
        return
    if quiet and output is not None:
        return
    tables = [table for table in (lesions_table(measurements), structures_table(measurements)) if table is not None]
    print_tables(labels, tables, (*warning_lines(warnings), *case.notes))
    if output is not None:
        print_written(output, written)
