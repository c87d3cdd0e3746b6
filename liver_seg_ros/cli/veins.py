# SPDX-License-Identifier: Apache-2.0
"""`liver-seg veins`: portal and hepatic veins told apart."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.help import INPUT
from liver_seg_ros.cli.options import Debug, Json, Labels, OutputFolder, Overwrite, Quiet, Verbose, Whose

LABELS, SLICER, TREE, VALUES = NAMES = ("veins.nii.gz", "veins.seg.nrrd", "vessel_tree.json", "veins.json")
#: Raised when a key of `veins.json` changes its meaning or goes away.
FORMAT = 1
#: What the names are worth.
WORTH = "By geometry alone, not validated on patients: look at them before you use them."

EXAMPLES = (
    "liver-seg veins labels.nii.gz -o apart",
    "liver-seg veins labels.nii.gz -o apart --surroundings surroundings.seg.nrrd",
)


def command(
    labels: Labels,
    output: OutputFolder,
    whose: Whose = None,
    surroundings: Annotated[
        Path | None,
        typer.Option(
            metavar="MAP",
            help="Map with the vena cava: surroundings.seg.nrrd of segment.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Tell portal from hepatic veins, by geometry alone.

    Writes veins.nii.gz and veins.seg.nrrd (LABELS, in which vessels are portal_vein or hepatic_vein where that is
    known), vessel_tree.json and veins.json, which has a confidence for each tree. What is in doubt stays vessel. Where
    nothing can be named, the same files are written, a line says why, and the exit code is 1.
    """
    from liver_seg_ros.cli.case import read_case
    from liver_seg_ros.cli.console import print_facts, print_json, print_written
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.files.label_sources import find_labels_in
    from liver_seg_ros.files.plans import write_values
    from liver_seg_ros.files.vessel_tree import write_vessel_tree
    from liver_seg_ros.files.volumes import write_labels
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.reconstruction.vessels.veins import separate_veins
    from liver_seg_ros.report import versions

    place = ResultFolder(output, "veins", NAMES, (labels, surroundings), overwrite)
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        with stages.stage("read"):
            case = read_case(labels, whose=whose)
            around = find_labels_in(surroundings, None).labels if surroundings else None
        with stages.stage("veins"):
            apart = separate_veins(case.labels, around)
        veins = apart.amounts()
        values = {
            "format": FORMAT,
            "input": str(labels),
            "uid": case.labels.uid,
            "synthetic": case.synthetic,
            "message": apart.message,
            "by_vena_cava": apart.by_cava,
            "veins": [asdict(vein) for vein in veins],
            "trees": [asdict(tree) for tree in apart.trees()],
            "seconds": {stage: round(seconds, 3) for stage, seconds in stages.seconds.items()},
            "versions": versions(),
        }
        with place.filled() as folder:
            write_labels(folder / LABELS, apart.labels)
            write_labels(folder / SLICER, apart.labels)
            write_vessel_tree(folder / TREE, apart.tree)
            write_values(folder / VALUES, values)
    if as_json:
        print_json(values)
    elif not quiet:
        facts = {vein.structure: f"{vein.volume_ml:.1f} ml, {vein.length_mm:.0f} mm of centerline" for vein in veins}
        print_facts({"labels": labels, **facts, "note": " ".join((WORTH, *case.notes))})
        print_written(output, sorted(NAMES))
    if apart.message:
        typer.echo(f"liver-seg: {labels}: {apart.message}", err=True)
        raise typer.Exit(1)
