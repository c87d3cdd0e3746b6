# SPDX-License-Identifier: Apache-2.0
"""`liver-seg render`: pictures of a CT and its labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.options import (
    Acquisition,
    CtArgument,
    Debug,
    Json,
    OutputFolder,
    Overwrite,
    Quiet,
    SeriesUid,
    Verbose,
    Whose,
)

OVERLAY, SCENE = "overlay.png", "scene.png"

EXAMPLES = ("liver-seg render ct.nii.gz labels.nii.gz -o pictures",)


def command(
    ct: CtArgument,
    labels: Annotated[
        Path,
        typer.Argument(metavar="LABELS", help="Its labels: a file, a DICOM SEG, or a folder of masks (see `measure`)."),
    ],
    output: OutputFolder,
    series: SeriesUid = None,
    acquisition: Acquisition = None,
    whose: Whose = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Draw labels over slices of their CT, and in 3D.

    Writes overlay.png (axial, coronal and sagittal slices) and scene.png; without a labelled voxel only overlay.png.
    """
    from liver_seg_ros.extras import need

    need("pages", "render")
    from liver_seg_ros.cli.console import print_facts, print_json, print_written
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.files.label_sources import read_labels_of
    from liver_seg_ros.files.volumes import read_volume
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct
    from liver_seg_ros.rendering.overlay import render_overlay
    from liver_seg_ros.rendering.scene import render_scene

    place = ResultFolder(output, "render", (OVERLAY, SCENE), (ct, labels), overwrite)
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        with stages.stage("read") as done:
            volume = read_volume(ct, series, acquisition, done)
            drawn = read_labels_of(volume, labels, whose)
        with place.filled() as folder:
            with stages.stage("overlay"):
                render_overlay(volume, drawn, folder / OVERLAY)
            if drawn.array.any():
                meshes = reconstruct(drawn, ReconstructionOptions(collision_margin_mm=0), progress).meshes
                with stages.stage("scene"):
                    render_scene(meshes, folder / SCENE)
            written = sorted(path.name for path in folder.iterdir())
    if as_json:
        print_json({"written": [str(output / name) for name in written]})
    elif not quiet:
        print_facts({"CT": ct, "labels": labels})
        print_written(output, written)
