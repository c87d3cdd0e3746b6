# SPDX-License-Identifier: Apache-2.0
"""`liver-seg couinaud`: the liver's segments 1 to 8, their volumes, and what is left without some of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.help import INPUT, OUTPUT
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

LABELS, SLICER, ROWS, VALUES, DICOM_SEG = (
    "segments.nii.gz", "segments.seg.nrrd", "segments.csv", "segments.json", "segments.dcm",
)  # fmt: skip
#: Raised when a key of `segments.json` changes its meaning or goes away.
FORMAT = 1

EXAMPLES = (
    "liver-seg couinaud apart/veins.seg.nrrd -o segments --surroundings surroundings.seg.nrrd",
    "liver-seg couinaud apart/veins.seg.nrrd -o segments --resect 6,7",
)


def command(
    labels: Labels,
    output: OutputFolder,
    ct: Ct = None,
    series: SeriesUid = None,
    acquisition: Acquisition = None,
    whose: Whose = None,
    surroundings: Annotated[
        Path | None,
        typer.Option(
            metavar="MAP", help="Map with the vena cava: surroundings.seg.nrrd of segment.", rich_help_panel=INPUT
        ),
    ] = None,
    resect: Annotated[
        tuple | None,
        typer.Option(metavar="N,N", help="Segments to take out, to see what is left.", parser=whole_numbers),
    ] = None,
    meshes: Annotated[
        bool, typer.Option("--meshes", help="Also write an STL of each segment.", rich_help_panel=OUTPUT)
    ] = False,
    dicom_seg: Annotated[
        bool,
        typer.Option(
            "--dicom-seg", help="Also segments.dcm: a DICOM Segmentation; needs --ct.", rich_help_panel=OUTPUT
        ),
    ] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Divide the liver into Couinaud's segments by planes through its veins.

    LABELS need portal and hepatic veins by name (see `veins`) and the vena cava, or a map that has it. Writes
    segments.nii.gz and segments.seg.nrrd (1 to 8 on the grid of LABELS; more where a landmark is missing and several
    segments are one part), segments.csv and segments.json. Where nothing can be parted the exit code is 1.
    """
    from liver_seg_ros.cli.case import read_case
    from liver_seg_ros.cli.console import print_json, print_tables, print_written
    from liver_seg_ros.cli.couinaud_files import (
        segments_table,
        without_cuts,
        write_segment_meshes,
        write_segments_dicom,
    )
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.cli.resection_table import resection_table
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.extras import need
    from liver_seg_ros.files.itk import write_itk
    from liver_seg_ros.files.label_sources import find_labels_in
    from liver_seg_ros.files.plans import write_rows, write_values
    from liver_seg_ros.files.segmentation_nrrd import segment_metadata
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.planning.couinaud_answer import divide_liver
    from liver_seg_ros.planning.couinaud_parts import possible_names
    from liver_seg_ros.planning.couinaud_rows import COLUMNS, segment_rows
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.reconstruction.vessels.extraction import vessel_tree
    from liver_seg_ros.report import versions
    from liver_seg_ros.volume import LabelVolume

    if dicom_seg and ct is None:
        raise InputError("--dicom-seg needs the CT whose study the object belongs to. Give it with --ct.")
    if meshes:
        need("meshes", "couinaud --meshes")
    if dicom_seg:
        need("dicom", "couinaud --dicom-seg")
    names = [LABELS, SLICER, ROWS, VALUES, *(f"{name}.stl" for name in possible_names() if meshes)]
    place = ResultFolder(
        output, "couinaud", (*names, *([DICOM_SEG] if dicom_seg else [])), (labels, ct, surroundings), overwrite
    )
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        with stages.stage("read") as done:
            case = read_case(labels, ct, series, acquisition, whose, done)
            around = find_labels_in(surroundings, None).labels if surroundings else None
        with stages.stage("vessels"):
            tree = vessel_tree(case.labels)
        with stages.stage("segments"):
            answer = divide_liver(case.labels, tree, around, resect or ())
            divided, resection = answer.divided, None if resect is None else answer.resection
        rows = segment_rows(divided)
        values = {
            "format": FORMAT,
            "input": str(labels),
            "uid": case.labels.uid,
            "synthetic": case.synthetic,
            "landmarks": answer.landmarks.to_dict(),
            **divided.to_dict(),
            "resection": None if resection is None else {k: v for k, v in resection.to_dict().items() if k != "cut"},
            "seconds": {stage: round(seconds, 3) for stage, seconds in stages.seconds.items()},
            "versions": versions(),
        }
        parts = LabelVolume(divided.array, divided.geometry, case.labels.uid)
        with place.filled() as folder:
            structures = [part.row for part in divided.parts]
            write_itk(folder / LABELS, parts.array, parts.geometry)
            write_itk(folder / SLICER, parts.array, parts.geometry, segment_metadata(parts, structures))
            write_rows(folder / ROWS, COLUMNS, rows)
            write_values(folder / VALUES, values)
            if meshes:
                with stages.stage("meshes"):
                    write_segment_meshes(folder, divided)
            if dicom_seg and case.ct is not None and divided.parts:
                write_segments_dicom(folder / DICOM_SEG, case.ct, divided)
            written = sorted(path.name for path in folder.iterdir())
    if as_json:
        print_json(values)
    elif not quiet:
        tables = [segments_table(divided)] if rows else []
        tables += [] if resection is None else [without_cuts(resection_table(resection))]
        notes = tuple(f"Not parted: {line}." for line in divided.unknown)
        print_tables(labels, tables, (*notes, *case.notes))
        print_written(output, written)
    if answer.message:
        typer.echo(f"liver-seg: {labels}: {answer.message}", err=True)
        raise typer.Exit(1)
