"""`liver-seg reconstruct`: from labels to meshes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.options import Debug, Json, OutputFolder

REPORT = "report.json"
FORMATS = (".ply", ".glb")


def command(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="NIfTI, NRRD or MetaImage file of labels, as `segment` writes it.")
    ],
    output: OutputFolder,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a mesh of each structure in a label volume.

    Writes <structure>.ply and <structure>.glb in LPS mm, and report.json.
    """
    from liver_seg_ros.cli.console import Stopwatch, print_report, progress_bars
    from liver_seg_ros.cli.outputs import check_output_folder, output_folder
    from liver_seg_ros.cli.truth import known_synthetic
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.files.meshes import write_mesh
    from liver_seg_ros.files.volumes import read_labels
    from liver_seg_ros.labels import STRUCTURES
    from liver_seg_ros.reconstruction.pipeline import reconstruct
    from liver_seg_ros.report import build_report, write_report

    check_output_folder(output)
    watch = Stopwatch()
    with progress_bars() as progress:
        with watch.stage("read", progress):
            volume = read_labels(labels)
        if not volume.array.any():
            raise InputError(f"{labels} has no labelled voxel: there is nothing to reconstruct")
        reconstruction = reconstruct(volume, progress=progress)
        watch.seconds.update(reconstruction.seconds)
        replaces = [f"{structure.name}{suffix}" for structure in STRUCTURES for suffix in FORMATS]
        with output_folder(output, replaces) as folder:
            with watch.stage("write", progress):
                for mesh in reconstruction.meshes:
                    for suffix in FORMATS:
                        write_mesh(folder / f"{mesh.structure.name}{suffix}", mesh)
            report = build_report(
                source=str(labels),
                uid=volume.uid,
                geometry=volume.geometry,
                measurements=reconstruction.measurements,
                seconds=watch.seconds,
                synthetic=known_synthetic(labels),
            )
            write_report(folder / REPORT, report)
    print_report(report, as_json)
