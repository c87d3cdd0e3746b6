# SPDX-License-Identifier: Apache-2.0
"""`liver-seg import`: a model that nnU-Net, TotalSegmentator or MONAI trained becomes a bundle of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.help import INPUT, NETWORKS, OUTPUT
from liver_seg_ros.cli.options import Debug, Json, Overwrite, Quiet, Verbose

EXAMPLES = (
    "liver-seg import liver_3d_fullres/ -o models/segmenter --folds every",
    "liver-seg import Dataset570_liver_segments/ -o models/segmenter",
    "liver-seg import liver_2d/ -o models/segmenter --label cyst=background",
    "liver-seg import monai_bundle/ -o models/segmenter_organs --others background",
)


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Model folder of nnU-Net v2 or TotalSegmentator, or MONAI bundle.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder of the bundle; made where missing.", rich_help_panel=OUTPUT
        ),
    ],
    folds: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Folds whose networks are averaged, as 0,1,2, or every.",
            show_default="the first",
            rich_help_panel=INPUT,
        ),
    ] = "",
    checkpoint: Annotated[
        str,
        typer.Option(metavar="NAME", help="Which checkpoint of a fold.", rich_help_panel=INPUT),
    ] = "checkpoint_final.pth",
    previous: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Model folder of a cascade's first stage.",
            show_default="beside it",
            rich_help_panel=INPUT,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Whose weights of TotalSegmentator: liver_vessels, liver_segments, liver_lesions or total.",
            show_default="what the folder's name tells",
            rich_help_panel=INPUT,
        ),
    ] = None,
    orientation: Annotated[
        str | None,
        typer.Option(
            metavar="AXES",
            help="What the axes of its training images grow to: LPS, RAS, LAS or RPS.",
            show_default="what the folder tells, or LPS",
            rich_help_panel=INPUT,
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="CLASS=STRUCTURE",
            help="What a class counts as, a structure or background; may be repeated.",
            show_default="what its name tells",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    others: Annotated[
        str | None,
        typer.Option(
            metavar="STRUCTURE",
            help="What classes of no known name count as.",
            show_default="refused",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    flips: Annotated[
        bool,
        typer.Option(
            "--flips",
            help="Average over flips, as nnU-Net does; up to 8 times the work.",
            rich_help_panel=NETWORKS,
        ),
    ] = False,
    stage: Annotated[
        str,
        typer.Option(metavar="NAME", help="What it is for: segment, localize or surround.", rich_help_panel=NETWORKS),
    ] = "segment",
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Always show it whole slices of the CT, not the liver's box.", rich_help_panel=NETWORKS
        ),
    ] = False,
    clean: Annotated[
        bool,
        typer.Option("--clean", help="Clean its labels as ours are cleaned.", rich_help_panel=NETWORKS),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the bundle.", show_default="the source's", rich_help_panel=OUTPUT),
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="SPDX",
            help="Of the weights, where the source states none.",
            show_default="NOASSERTION",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Make a bundle of a model that another tool trained.

    From nnU-Net v2 (2d, 3d_lowres, 3d_fullres, cascade), TotalSegmentator's weights, or a MONAI bundle. The bundle
    resamples, normalizes and cuts windows as its source does. It goes into the folder that --models names, as
    segmenter/ or segmenter_<name>/. The library of nnU-Net's architectures (53 kB) is fetched once, into an
    environment of its own.
    """
    from liver_seg_ros.cli.console import print_facts, print_json
    from liver_seg_ros.extras import need

    need("deploy", "importing a model")
    from liver_seg_ros.deploy.importing.bundle_from import Choices, import_bundle
    from liver_seg_ros.deploy.importing.nnunet_folder import Wanted
    from liver_seg_ros.deploy.importing.reading import read_source
    from liver_seg_ros.inference.bundle_writing import bundle_place

    bundle_place(output, (folder, previous), overwrite)
    wanted = Wanted(
        folds=tuple(part.strip() for part in folds.split(",") if part.strip()),
        checkpoint=checkpoint,
        flips=flips,
        orientation=orientation,
        previous=previous,
    )
    choices = Choices(name, stage, _pairs(label or ()), others, license_, clean, whole)
    bundle = import_bundle(read_source(folder, wanted, task), output, choices, overwrite)
    facts = {
        "bundle": str(bundle.folder),
        "name": bundle.spec.name,
        "stage": bundle.spec.stage,
        "labels": ", ".join(list(bundle.spec.labels.values())[1:]),
        "classes": bundle.spec.provenance["classes"],
        "license": bundle.spec.license,
        "megabytes": round(bundle.weights.stat().st_size / 1e6, 1),
    }
    if as_json:
        print_json(facts)
    elif not quiet:
        print_facts({"imported": facts})


def _pairs(labels: Sequence[str]) -> dict[str, str]:
    """`CLASS=STRUCTURE` as a mapping."""
    pairs = [text.rpartition("=") for text in labels]
    if wrong := [text for text, (before, _, after) in zip(labels, pairs, strict=True) if not (before and after)]:
        raise typer.BadParameter(f"'{wrong[0]}' is not CLASS=STRUCTURE, such as tumour=tumor", param_hint="--label")
    return {before.strip(): after.strip() for before, _, after in pairs}
