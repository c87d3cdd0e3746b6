# SPDX-License-Identifier: Apache-2.0
"""`liver-seg export`: labels and what follows from them as DICOM objects of the CT's study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.help import INPUT, OUTPUT
from liver_seg_ros.cli.options import (
    Acquisition,
    Debug,
    Json,
    Labels,
    OutputFolder,
    Overwrite,
    Quiet,
    SeriesUid,
    Verbose,
    Whose,
)

EXAMPLES = (
    "liver-seg export labels.nii.gz --ct dicom_folder -o to_pacs",
    "liver-seg export labels.nii.gz --ct dicom_folder -o to_pacs --objects seg,sr,rtstruct,stl,pictures",
)


def _makers() -> list[str]:
    """What a shell offers behind `--made`."""
    return ["automatic", "semiautomatic", "manual"]


def command(
    labels: Labels,
    output: OutputFolder,
    ct: Annotated[
        Path, typer.Option("--ct", metavar="CT", help="The DICOM folder of their CT.", rich_help_panel=INPUT)
    ],
    series: SeriesUid = None,
    acquisition: Acquisition = None,
    whose: Whose = None,
    made: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="How the labels were made: automatic, semiautomatic or manual.",
            autocompletion=_makers,
            rich_help_panel=INPUT,
        ),
    ] = "automatic",
    objects: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="What to make of seg, sr, rtstruct, stl, obj and pictures.", rich_help_panel=OUTPUT
        ),
    ] = "seg,sr",
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Make DICOM objects of labels, for the study of their CT.

    Writes labels.dcm (Segmentation), measurements.dcm (structured report, TID 1500), contours.dcm (RT Structure Set),
    <structure>_stl.dcm and <structure>_obj.dcm (encapsulated surfaces), overlay.dcm and scene.dcm (secondary captures).
    They carry the patient's name, as objects of the study have to; the names of the files do not.
    """
    from liver_seg_ros.cli.console import print_json, print_written
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.dicom_out.kinds import check_kinds, names_of
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.files.label_sources import read_labels_of
    from liver_seg_ros.files.volumes import read_volume
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.progress import Stages

    if made not in _makers():
        raise InputError(f"--made is '{made}'; it is one of {', '.join(_makers())}")
    kinds = check_kinds([kind.strip() for kind in objects.split(",") if kind.strip()])
    from liver_seg_ros.dicom_out.equipment import Made, Maker
    from liver_seg_ros.dicom_out.export import export, save

    place = ResultFolder(output, "export", names_of(kinds), (labels, ct), overwrite)
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        with stages.stage("read") as done:
            volume = read_volume(ct, series, acquisition, done)
            found = read_labels_of(volume, labels, whose)
        with place.filled() as folder, stages.stage("write"):
            names = save(folder, export(volume, found, kinds, Maker(Made(made.upper()))))
    if as_json:
        print_json({"input": str(labels), "ct": str(ct), "uid": volume.uid, "files": names})
    elif not quiet:
        print_written(output, names)
