# SPDX-License-Identifier: Apache-2.0
"""`liver-seg phantom`: make a synthetic abdominal CT with exact ground truth, or paint lesions into a real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from liver_seg_ros.cli.options import Debug, Json, OutputFolder, Overwrite, Quiet, Verbose, triple
from liver_seg_ros.files.phantom_case import CT, LABELS, SURROUNDINGS, VESSELS

if TYPE_CHECKING:
    from liver_seg_ros.phantom import Phantom

EXAMPLES = (
    "liver-seg phantom -o case --seed 7",
    "liver-seg phantom -o case --seed 7 --size 512,512,300 --spacing-mm 0.75,0.75,1 --phase portal_venous",
    "liver-seg phantom -o case --seed 7 --dicom case_dicom",
    "liver-seg phantom -o case --seed 7 --into ct.nii.gz --liver liver.nii.gz",
)

#: Groups of options in `--help`, and what is said of those that have no default of their own.
PATIENT, SCAN, REAL, BY_SEED = "Patient", "Scan", "Into a real CT", "by the seed"

#: Raised when a key of `vessels.json` changes its meaning or goes away.
FORMAT = 1


def command(
    output: OutputFolder,
    seed: Annotated[
        int,
        typer.Option(metavar="N", help="The same seed and options, the same phantom.", min=0, rich_help_panel=PATIENT),
    ] = 0,
    phase: Annotated[
        Literal["none", "arterial", "portal_venous"] | None,
        typer.Option(
            metavar="PHASE",
            help="Contrast: none, arterial or portal_venous.",
            show_default=BY_SEED,
            rich_help_panel=PATIENT,
        ),
    ] = None,
    tumors: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many tumors.", min=0, show_default=BY_SEED, rich_help_panel=PATIENT),
    ] = None,
    variation: Annotated[
        Literal["plain", "varied", "varied_tumors", "varied_vessels", "varied_cysts", "varied_hypodense"],
        typer.Option(
            metavar="KIND",
            help="plain, varied far beyond the plausible, varied_tumors: plain with hard tumors, varied_vessels: "
            "varied with thin and faint vessels, varied_cysts: varied with more cysts, or varied_hypodense: with "
            "tumors that are taken for cysts, too.",
            rich_help_panel=PATIENT,
        ),
    ] = "plain",
    size: Annotated[
        tuple | None,
        typer.Option(
            metavar="I,J,K",
            help="Voxels along columns, rows, slices.",
            parser=triple(int),
            show_default="256,256,150",
            rich_help_panel=SCAN,
        ),
    ] = None,
    spacing_mm: Annotated[
        tuple | None,
        typer.Option(
            metavar="I,J,K",
            help="Distances of voxel centers, mm.",
            parser=triple(float),
            show_default="1.5,1.5,2",
            rich_help_panel=SCAN,
        ),
    ] = None,
    noise_hu: Annotated[
        float | None,
        typer.Option(
            metavar="HU",
            help="Standard deviation of the noise, HU.",
            min=0,
            show_default=BY_SEED,
            rich_help_panel=SCAN,
        ),
    ] = None,
    surroundings: Annotated[
        bool,
        typer.Option(
            "--surroundings", help="Also where each organ around the liver is, and a duodenum.", rich_help_panel=PATIENT
        ),
    ] = False,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into", metavar="CT", help="Paint tumors and vessels into this CT instead.", rich_help_panel=REAL
        ),
    ] = None,
    liver: Annotated[
        Path | None,
        typer.Option("--liver", metavar="MASK", help="Its liver: nothing else is touched.", rich_help_panel=REAL),
    ] = None,
    trees: Annotated[
        int | None,
        typer.Option("--trees", metavar="N", help="Trees of vessels.", min=0, show_default="1", rich_help_panel=REAL),
    ] = None,
    dicom: Annotated[
        Path | None,
        typer.Option("--dicom", metavar="FOLDER", help="Also the CT as a DICOM series there, a file per slice."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Make a synthetic abdominal CT with exact ground truth.

    Writes ct.nii.gz, labels.nii.gz and vessels.json (the vessel trees and tumors in LPS mm), with --surroundings also
    surroundings.seg.nrrd, with --dicom the CT as a scanner would send it. With --into and --liver it paints tumors and
    vessels of known truth into a real CT, with its own noise and sharpness, and writes implants.json in place of
    vessels.json; --phase is then the CT's own (portal_venous if not given).
    """
    from liver_seg_ros.cli.console import print_facts, print_json, print_written
    from liver_seg_ros.cli.painting_into import paint_into
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.files.dicom_writing import slice_names, write_synthetic_series
    from liver_seg_ros.files.volumes import write_labels, write_volume
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.phantom import PhantomOptions, generate_phantom
    from liver_seg_ros.phantom.implants import ImplantOptions
    from liver_seg_ros.progress import Stages

    if into is not None or liver is not None:
        refused = {"--size": size, "--spacing-mm": spacing_mm, "--noise-hu": noise_hu}
        if into is None or liver is None:
            raise InputError("--into and --liver need each other: give a CT and a mask of its liver")
        if dicom is not None:
            raise InputError("--dicom has no meaning with --into: what is painted into a patient's CT is not synthetic")
        if surroundings:
            raise InputError("--surroundings has no meaning with --into, whose CT has its own organs; leave it out")
        if given := [name for name, value in refused.items() if value is not None]:
            raise InputError(f"{given[0]} has no meaning with --into, whose CT has its own; leave it out")
        wanted = ImplantOptions(tumors, 1 if trees is None else trees, phase or "portal_venous", variation)
        paint_into(into, liver, output, seed, wanted, overwrite=overwrite, as_json=as_json, quiet=quiet)
        return
    if trees is not None:
        raise InputError("--trees needs --into and --liver: a phantom has its portal and hepatic veins")
    names = (CT, LABELS, VESSELS, *([SURROUNDINGS] if surroundings else []))
    place = ResultFolder(output, "phantom", names, overwrite=overwrite)
    defaults = PhantomOptions()
    if dicom is not None and dicom.resolve() == output.resolve():
        raise InputError(
            f"--dicom is the folder of -o, '{output}': the series would take the place of the rest; give another"
        )
    slices = slice_names((size or defaults.size)[2]) if dicom is not None else []
    series = None if dicom is None else ResultFolder(dicom, "phantom", slices, overwrite=overwrite, option="--dicom")
    options = PhantomOptions(
        size=size or defaults.size,
        spacing_mm=spacing_mm or defaults.spacing_mm,
        phase=phase,
        tumor_count=tumors,
        noise_hu=noise_hu,
        variation=variation,
        surroundings=surroundings,
    )
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        with stages.timed("generate"):  # it has stages of its own
            phantom = generate_phantom(seed, options, progress)
        with stages.stage("write"), place.filled() as folder:
            write_volume(folder / CT, phantom.ct)
            write_labels(folder / LABELS, phantom.labels)
            if phantom.surroundings is not None:
                write_labels(folder / SURROUNDINGS, phantom.surroundings)
            (folder / VESSELS).write_text(json.dumps(describe(phantom)) + "\n", encoding="utf-8")
        if series is not None:
            with stages.stage("write"), series.filled() as folder:
                name = f"Phantom^{variation}^{seed}"
                write_synthetic_series(folder, phantom.ct, name, f"synthetic CT, seed {seed}, {phantom.phase}")
    if as_json:
        files = {name: str(output / name) for name in names}
        if dicom is not None:
            files["dicom"] = str(dicom)
        counts = {"voxels": phantom.labels.counts(), "tumors": len(phantom.tumors)}
        print_json({"seed": seed, "phase": phantom.phase, "files": files, **counts, "seconds": stages.seconds})
    elif not quiet:
        print_facts({"phantom": seed, "contrast phase": phantom.phase, "tumors": len(phantom.tumors)})
        print_written(output, names)
        if dicom is not None:
            print_written(dicom, [f"{slices[0]} to {slices[-1]}"])


def describe(phantom: Phantom) -> dict[str, Any]:
    """What `vessels.json` holds: the exact truth behind the voxels, and which CT beside it that is the truth of."""
    return {
        "format": FORMAT,
        "ct": CT,
        "labels": LABELS,
        "seed": phantom.seed,
        "phase": phantom.phase,
        "frame": "LPS",
        "unit": "mm",
        "portal": phantom.portal.to_dict(),
        "hepatic": phantom.hepatic.to_dict(),
        "tumors": [tumor.to_dict() for tumor in phantom.tumors],
    }
