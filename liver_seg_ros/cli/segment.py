# SPDX-License-Identifier: Apache-2.0
"""`liver-seg segment`: from a CT to labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liver_seg_ros.cli.help import INPUT, NETWORKS, OUTPUT
from liver_seg_ros.cli.options import (
    Acquisition,
    CtArgument,
    Debug,
    Json,
    ModelsFolder,
    OutputFolder,
    Overwrite,
    Precision,
    Quiet,
    Runtime,
    SeriesUid,
    Verbose,
    Whose,
)

if TYPE_CHECKING:
    from liver_seg_ros.inference.bundle import ModelBundle
    from liver_seg_ros.inference.segmenter import Segmenter
    from liver_seg_ros.inference.surroundings import SurroundingsMapper
    from liver_seg_ros.progress import Cancelled, Progress
    from liver_seg_ros.volume import LabelVolume, Volume

LABELS, SLICER, REPORT = "labels.nii.gz", "labels.seg.nrrd", "report.json"
#: Only where they are asked for; the first two where a liver is found.
DICOM_SEG, ENTROPY = "labels.dcm", "entropy.nii.gz"
SURROUNDINGS = "surroundings.seg.nrrd"

EXAMPLES = (
    "liver-seg segment ct.nii.gz -o found",
    "liver-seg segment dicom_folder -o found --dicom-seg",
    "liver-seg segment ct.nii.gz -o found --truth labels.nii.gz --runtime onnxruntime",
)


def _steps() -> tuple[str, ...]:
    """What a shell offers behind `--skip`."""
    from liver_seg_ros.inference.bundle import POSTPROCESSING_STEPS

    return POSTPROCESSING_STEPS


def _write_dicom_seg(folder: Path, ct: Volume, labels: LabelVolume, bundles: Iterable[ModelBundle]) -> None:
    from liver_seg_ros.dicom_out.equipment import Made, Maker
    from liver_seg_ros.dicom_out.export import export, save

    specs = [bundle.spec for bundle in bundles]
    networks = Maker(Made.AUTOMATIC, ", ".join(spec.name for spec in specs), ", ".join(spec.version for spec in specs))
    save(folder, export(ct, labels, ("seg",), networks))


def command(
    ct: CtArgument,
    output: OutputFolder,
    models: ModelsFolder = None,
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    series: SeriesUid = None,
    acquisition: Acquisition = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS", help="True labels: file, DICOM SEG or folder of masks; adds Dice.", rich_help_panel=INPUT
        ),
    ] = None,
    whose: Whose = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP",
            help="Leave out this step of postprocessing; repeatable.",
            autocompletion=_steps,
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    smooth: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STRUCTURE=MM",
            help="Smooth labels, Gaussian in mm; repeatable.",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    dicom_seg: Annotated[
        bool,
        typer.Option(
            "--dicom-seg", help="Also write labels.dcm: a DICOM Segmentation of the CT's study.", rich_help_panel=OUTPUT
        ),
    ] = False,
    entropy: Annotated[
        bool,
        typer.Option(
            "--entropy", help="Also write entropy.nii.gz: where the network is in doubt.", rich_help_panel=OUTPUT
        ),
    ] = False,
    surroundings: Annotated[
        bool,
        typer.Option(
            "--surroundings", help="Also a coarse map of the organs around the liver.", rich_help_panel=NETWORKS
        ),
    ] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Label liver, tumors and vessels in a CT.

    Writes labels.nii.gz, labels.seg.nrrd (for 3D Slicer) and report.json. Where no liver is found, these three are
    written, report.json has "liver_found": false, a line says so, and the exit code is 1. With --surroundings also
    surroundings.seg.nrrd, on a grid of its own, for plan --surroundings.

    Entropy: 0 where one label is certain, 100 where all are equally probable.

    Steps of postprocessing: tumor_contact, one_liver, inside_liver, fill_holes, min_volume, round_vessels,
    thin_vessels, vessel_borders.
    """
    from liver_seg_ros.cli.beside import Beside
    from liver_seg_ros.cli.console import print_json, print_report, print_written
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.files.phantom_case import known_synthetic
    from liver_seg_ros.files.volumes import read_volume, write_labels, write_volume
    from liver_seg_ros.inference.smoothing import parse_smoothing
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.plausibility.judgment import plausibility_warnings
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.reconstruction.measuring.structures import measure
    from liver_seg_ros.report import ModelReport, build_report, write_report
    from liver_seg_ros.truth import read_truth_of, score

    if dicom_seg:
        from liver_seg_ros.extras import need

        need("dicom", "segment --dicom-seg")
    if whose is not None and truth is None:
        raise InputError("--labels says whose labels those of --truth are. Give --truth too, or leave it out.")
    gaussian_mm = parse_smoothing(smooth or ())
    wanted = {DICOM_SEG: dicom_seg, ENTROPY: entropy, SURROUNDINGS: surroundings}
    names = [LABELS, SLICER, REPORT, *(name for name, asked_for in wanted.items() if asked_for)]
    place = ResultFolder(output, "segment", names, (ct, truth, models), overwrite)

    def load(told: Progress, unwanted: Cancelled) -> tuple[Segmenter, SurroundingsMapper | None]:
        from liver_seg_ros.inference.runtimes.base import LoadOptions
        from liver_seg_ros.inference.segmenter import load_default_segmenter
        from liver_seg_ros.inference.surroundings import load_surroundings_mapper

        building = LoadOptions(progress=told, cancelled=unwanted)
        segmenter = load_default_segmenter(models, runtime, precision, building, skip or (), gaussian_mm)
        return segmenter, load_surroundings_mapper(models, runtime, precision) if surroundings else None

    # Reading waits for the disk and unpacks on one core; the networks come on the other.
    with shown_progress(quiet, as_json) as progress, Beside(load, progress) as loading:
        stages = Stages(progress)
        with stages.stage("read") as done:
            volume = read_volume(ct, series, acquisition, done)
            right = read_truth_of(volume, truth, whose) if truth else None
        if dicom_seg:
            from liver_seg_ros.dicom_out.reference import read_reference

            read_reference(volume)  # whether there will be something to refer to is told before the work
        with stages.stage("load"):
            segmenter, mapper = loading.result()
        segmentation = segmenter.segment(volume, progress, entropy=entropy)
        # Of loading counts what was waited for, so that the seconds of all stages are those of the command.
        stages.seconds.update({name: s for name, s in segmentation.seconds.items() if name != "load"})
        around = mapper.find(volume, progress) if mapper else None
        if around:
            stages.seconds["surround"] = around.seconds
        with stages.stage("measure"):
            sure = segmentation.tumor_probability
            measurements = measure(segmentation.labels, sure.at if sure else None)
            warnings = plausibility_warnings(segmentation.labels, measurements, volume, segmentation.run)
            dice = score(segmentation.labels, right) if right else None
        with place.filled() as folder:
            with stages.stage("write"):
                write_labels(folder / LABELS, segmentation.labels)
                write_labels(folder / SLICER, segmentation.labels)
                if around:
                    write_labels(folder / SURROUNDINGS, around.labels)
                if dicom_seg and segmentation.liver_found:
                    _write_dicom_seg(folder, volume, segmentation.labels, segmenter.bundles)
                if segmentation.entropy is not None:
                    write_volume(folder / ENTROPY, segmentation.entropy)
            report = build_report(
                source=str(ct),
                uid=volume.uid,
                geometry=volume.geometry,
                measurements=measurements,
                seconds=stages.seconds,
                message=segmentation.message,
                warnings=warnings,
                synthetic=known_synthetic(ct),
                dice=dice,
                runtime=segmenter.runtime_name,
                models=[
                    ModelReport(bundle.spec.name, bundle.spec.version, bundle.sha256)
                    for bundle in (*segmenter.bundles, *([mapper.bundle] if mapper else []))
                ],
            )
            write_report(folder / REPORT, report)
    if as_json:
        print_json(report.to_dict())
    elif not quiet:
        print_report(report)
        print_written(output, [name for name in names if segmentation.liver_found or name not in (DICOM_SEG, ENTROPY)])
    if not segmentation.liver_found:
        typer.echo(f"liver-seg: {ct}: {segmentation.message}", err=True)
        raise typer.Exit(1)
