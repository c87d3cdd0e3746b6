"""`liver-seg measure`: how large, how far across, how many, how near to what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liver_seg_ros.cli.options import Ct, Debug, Html, Json, Labels, Png, SeriesUid

if TYPE_CHECKING:
    from liver_seg_ros.mesh import Mesh

NAMES = ("measurements.json", "measurements.csv")


def command(
    labels: Labels,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for files; made where missing.")
    ] = None,
    ct: Ct = None,
    series: SeriesUid = None,
    png: Png = False,
    html: Html = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure structures and lesions: volumes, diameters, distances, each with the resolution's uncertainty.

    Prints tables; with -o also writes measurements.json and measurements.csv.
    """
    from liver_seg_ros.cli.case import read_case
    from liver_seg_ros.cli.console import print_json, print_tables, progress_bars
    from liver_seg_ros.cli.measurement_tables import lesions_table, structures_table, warnings
    from liver_seg_ros.cli.outputs import check_output_folder, output_folder
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.reconstruction.measurements import measure

    if output is None and (png or html):
        raise InputError("pictures need a folder: give one with -o")
    if output is not None:
        check_output_folder(output)
    with progress_bars() as progress:
        progress("read", 0.0)
        case = read_case(labels, ct, series)
        progress("read", 1.0)
        progress("measure", 0.0)
        measurements = measure(case.labels)
        progress("measure", 1.0)
        if output is not None:
            from liver_seg_ros.cli.pictures import PICTURES, write_html, write_png
            from liver_seg_ros.files.measurements import write_measurements
            from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct

            with output_folder(output, PICTURES) as folder:
                for name in NAMES:
                    write_measurements(folder / name, measurements)
                meshes: tuple[Mesh, ...] = ()
                if png or html:
                    meshes = reconstruct(case.labels, ReconstructionOptions(collision_margin_mm=0), progress).meshes
                if png:
                    write_png(folder, case, meshes)
                if html:
                    write_html(folder, "Liver measurements", case, meshes, measurements)
    if as_json:
        print_json(
            {
                "input": str(labels),
                "uid": case.labels.uid,
                "synthetic": case.synthetic,
                "structures": [measured.to_dict() for measured in measurements],
            }
        )
        return
    tables = (lesions_table(measurements), structures_table(measurements))
    print_tables((table for table in tables if table is not None), (*warnings(measurements), *case.notes))
