# SPDX-License-Identifier: Apache-2.0
"""`liver-seg plan`: trajectories of a needle to a lesion, and what an ablation or a resection would do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

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
    numbers,
)

PLAN, TRAJECTORIES = "plan.json", "plan.csv"
#: Raised when a key of `plan.json` changes its meaning or goes away.
FORMAT = 1
#: Groups of options in `--help`.
TARGET, LIMITS, TREATMENT = "Target and entry", "Limits", "Treatment"

EXAMPLES = (
    "liver-seg plan labels.nii.gz --ct ct.nii.gz -o plan --html",
    "liver-seg plan labels.nii.gz --ct ct.nii.gz -o plan --lesion 2 --ablation 20,15",
    "liver-seg plan labels.nii.gz -o plan --entry=-89,19,7 --target=-29,19,7",
    "liver-seg plan labels.nii.gz -o plan --resection=-10,0,0,-1,0,0",
)

#: Rows of a table shown in a terminal; files and the page have all.
SHOWN = 8


def command(
    labels: Labels,
    output: OutputFolder,
    ct: Ct = None,
    series: SeriesUid = None,
    acquisition: Acquisition = None,
    whose: Whose = None,
    lesion: Annotated[
        int, typer.Option(metavar="N", help="Which lesion, 1 is the largest.", min=1, rich_help_panel=TARGET)
    ] = 1,
    target: Annotated[
        tuple | None,
        typer.Option(
            metavar="X,Y,Z",
            help="Target, LPS mm.",
            parser=numbers(3),
            show_default="the lesion's center",
            rich_help_panel=TARGET,
        ),
    ] = None,
    entry: Annotated[
        tuple | None,
        typer.Option(
            metavar="X,Y,Z",
            help="Judge the one trajectory from here, LPS mm.",
            parser=numbers(3),
            rich_help_panel=TARGET,
        ),
    ] = None,
    entries: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Entries to rank, lines x,y,z in LPS mm.",
            show_default="the skin in the CT",
            rich_help_panel=TARGET,
        ),
    ] = None,
    max_length_mm: Annotated[
        float, typer.Option(metavar="MM", help="Longest trajectory, mm.", min=1, rich_help_panel=LIMITS)
    ] = 150.0,
    min_clearance_mm: Annotated[
        float,
        typer.Option(metavar="MM", help="Least distance to every structure, mm.", min=0, rich_help_panel=LIMITS),
    ] = 0.0,
    needle_radius_mm: Annotated[
        float, typer.Option(metavar="MM", help="Radius of the needle, mm.", min=0, rich_help_panel=LIMITS)
    ] = 0.75,
    no_hu: Annotated[
        bool,
        typer.Option(
            "--no-hu", help="Keep clear of labels alone, not of bone, lung and gas by HU.", rich_help_panel=LIMITS
        ),
    ] = False,
    surroundings: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS",
            help="Keep clear of this map too: surroundings.seg.nrrd of segment.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    ablation: Annotated[
        tuple | None,
        typer.Option(
            metavar="ALONG_MM,ACROSS_MM",
            help="Radii of an ablation on the best trajectory, mm.",
            parser=numbers(2),
            rich_help_panel=TREATMENT,
        ),
    ] = None,
    resection: Annotated[
        tuple | None,
        typer.Option(
            metavar="PX,PY,PZ,NX,NY,NZ",
            help="Plane to cut along: point, and normal to what goes.",
            parser=numbers(6),
            rich_help_panel=TREATMENT,
        ),
    ] = None,
    png: Png = False,
    html: Html = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Rank trajectories of a needle to a lesion; judge an ablation or a resection.

    Writes plan.json and plan.csv. Where no trajectory keeps to the limits, the same files are written, a line says
    which limits stand against it, and the exit code is 1.
    """
    from liver_seg_ros.extras import need

    need("pages" if png or html else "meshes", "plan")
    from liver_seg_ros.cli.case import read_case
    from liver_seg_ros.cli.console import print_json, print_tables, print_written
    from liver_seg_ros.cli.picture_names import picture_names
    from liver_seg_ros.cli.plan_tables import answer_tables, drawn_trajectories
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.cli.warning_lines import warning_lines
    from liver_seg_ros.files.label_sources import find_labels_in
    from liver_seg_ros.files.plans import read_points, write_rows, write_values
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.plain import plain
    from liver_seg_ros.planning.anatomy import find_unlabelled, prepare_anatomy
    from liver_seg_ros.planning.questions import Question, answer, check_question, limits_for
    from liver_seg_ros.planning.trajectory_rows import COLUMNS, trajectory_rows
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct
    from liver_seg_ros.report import versions

    place = ResultFolder(
        output, "plan", (PLAN, TRAJECTORIES, *picture_names(png, html)), (labels, ct, entries, surroundings), overwrite
    )
    question = Question(
        lesion=lesion - 1,
        limits=limits_for(needle_radius_mm, max_length_mm, min_clearance_mm),
        target_mm=target,
        entry_mm=entry,
        entries_mm=read_points(entries) if entries else None,
        ablation_mm=ablation,
        resection_plane=(resection[:3], resection[3:]) if resection else None,
    )
    check_question(question, anatomy_has_skin=ct is not None)
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        with stages.stage("read") as done:
            case = read_case(labels, ct, series, acquisition, whose, done)
            around = find_labels_in(surroundings, None).labels if surroundings else None
        from_skin = question.entry_mm is None and question.entries_mm is None
        with ThreadPoolExecutor(1) as pool:
            looking = pool.submit(
                find_unlabelled, case.labels, case.ct, skin=from_skin, by_hu=not no_hu, surroundings=around
            )
            reconstruction = reconstruct(case.labels, ReconstructionOptions(collision_margin_mm=0), progress)
            stages.seconds.update(reconstruction.seconds)
            with stages.stage("anatomy"):
                anatomy = prepare_anatomy(case.labels, reconstruction, unlabelled=looking.result())
        with stages.stage("plan"):
            answers = answer(anatomy, question)
        warnings = case.warnings(reconstruction.measurements)
        plan = {
            "format": FORMAT,
            "input": str(labels),
            "uid": case.labels.uid,
            "synthetic": case.synthetic,
            "frame": "LPS",
            "warnings": plain(warnings),
            **answers.to_dict(),
            "seconds": {stage: round(seconds, 3) for stage, seconds in stages.seconds.items()},
            "versions": versions(),
        }
        tables, trajectories = answer_tables(answers), drawn_trajectories(answers.trajectories)
        with place.filled() as folder:
            write_values(folder / PLAN, plan)
            write_rows(folder / TRAJECTORIES, COLUMNS, trajectory_rows(answers.trajectories, question.limits))
            if png or html:
                from liver_seg_ros.cli.pictures import write_html, write_png
                from liver_seg_ros.cli.plan_drawing import drawn_meshes

                meshes = (*reconstruction.meshes, *drawn_meshes(answers, reconstruction.meshes))
            if png:
                with stages.stage("png"):
                    write_png(folder, case, meshes, trajectories)
            if html:
                notes = [line for line in (answers.message, *answers.notes) if line]
                with stages.stage("html") as done:
                    write_html(
                        folder, "Liver plan", case, meshes, case.known(reconstruction.measurements),
                        tree=reconstruction.tree, trajectories=trajectories, tables=tables, notes=notes,
                        warnings=warnings, done=done,
                    )  # fmt: skip
            written = sorted(path.name for path in folder.iterdir())
    if as_json:
        print_json(plan)
    elif not quiet:
        print_tables(labels, tables, (*answers.notes, *warning_lines(warnings), *case.notes), most_rows=SHOWN)
        print_written(output, written)
    if answers.message:
        typer.echo(f"liver-seg: {labels}: {answers.message}", err=True)
        raise typer.Exit(1)
