# SPDX-License-Identifier: Apache-2.0
"""`liver-seg reconstruct`: from labels to meshes, a cloud, the vessel tree and measurements."""

from __future__ import annotations

from typing import Annotated

import typer

from liver_seg_ros.cli.help import OUTPUT
from liver_seg_ros.cli.options import (
    Acquisition,
    Ct,
    Debug,
    Html,
    Json,
    Labels,
    OutputFolder,
    Overwrite,
    Png,
    Quiet,
    SeriesUid,
    Verbose,
    Whose,
)

REPORT = "report.json"

EXAMPLES = (
    "liver-seg reconstruct labels.nii.gz -o meshes",
    "liver-seg reconstruct labels.nii.gz --ct ct.nii.gz -o meshes --png --html",
)


def command(
    labels: Labels,
    output: OutputFolder,
    ct: Ct = None,
    series: SeriesUid = None,
    acquisition: Acquisition = None,
    whose: Whose = None,
    triangle_budget: Annotated[
        int, typer.Option(metavar="N", help="Most triangles of a mesh.", min=100, rich_help_panel=OUTPUT)
    ] = 30_000,
    png: Png = False,
    html: Html = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Make meshes, a cloud, the vessel tree and measurements of labels.

    Writes, in LPS mm, per structure <structure>.ply and .glb to look at and <structure>_collision.ply and .glb that
    enclose it; cloud.ply; vessel_tree.vtp and .json where there are vessels; measurements.json and .csv; report.json.
    """
    from liver_seg_ros.extras import need

    need("pages" if png or html else "meshes", "reconstruct")
    from liver_seg_ros.cli.case import read_case
    from liver_seg_ros.cli.console import print_json, print_report, print_written
    from liver_seg_ros.cli.picture_names import picture_names
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.files.reconstructed import reconstructed_names, write_reconstructed
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct
    from liver_seg_ros.report import build_report, write_report

    names = (*reconstructed_names(), REPORT, *picture_names(png, html))
    place = ResultFolder(output, "reconstruct", names, (labels, ct), overwrite)
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        with stages.stage("read") as done:
            case = read_case(labels, ct, series, acquisition, whose, done)
        reconstruction = reconstruct(case.labels, ReconstructionOptions(triangle_budget=triangle_budget), progress)
        stages.seconds.update(reconstruction.seconds)
        measurements = case.known(reconstruction.measurements)
        warnings = case.warnings(measurements)
        with place.filled() as folder:
            with stages.stage("write"):
                write_reconstructed(
                    folder, reconstruction.meshes, reconstruction.collision_meshes, reconstruction.cloud,
                    reconstruction.tree, measurements, warnings,
                )  # fmt: skip
            if png:
                from liver_seg_ros.cli.pictures import write_png

                with stages.stage("png"):
                    write_png(folder, case, reconstruction.meshes)
            if html:
                from liver_seg_ros.cli.pictures import write_html

                with stages.stage("html") as done:
                    write_html(
                        folder, "Liver reconstruction", case, reconstruction.meshes, measurements,
                        tree=reconstruction.tree, warnings=warnings, done=done,
                    )  # fmt: skip
            report = build_report(
                source=str(labels),
                uid=case.labels.uid,
                geometry=case.labels.geometry,
                measurements=measurements,
                seconds=stages.seconds,
                warnings=warnings,
                synthetic=case.synthetic,
            )
            write_report(folder / REPORT, report)
            written = sorted(path.name for path in folder.iterdir())
    if as_json:
        print_json(report.to_dict())
    elif not quiet:
        print_report(report)
        print_written(output, written)
