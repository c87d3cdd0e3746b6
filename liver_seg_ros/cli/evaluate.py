# SPDX-License-Identifier: Apache-2.0
"""`liver-seg evaluate`: how good labels, or a network, are against the truth, case by case and over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liver_seg_ros.cli.help import INPUT, OUTPUT
from liver_seg_ros.cli.options import Debug, Json, Overwrite, Quiet, Verbose, Whose
from liver_seg_ros.cli.scoring_options import LiverAlone, ToleranceMm, WithBackground
from liver_seg_ros.files.label_schemes import CHOICES, SCHEMES

if TYPE_CHECKING:
    from liver_seg_ros.evaluation.case_scores import CaseScores, Definitions
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.volume import LabelVolume

NAMES = ("scores.csv", "scores.json")
#: How a file that is a recipe and no labels ends.
RECIPE_SUFFIXES = (".yaml", ".yml")

EXAMPLES = (
    "liver-seg evaluate found/labels.nii.gz case/labels.nii.gz",
    "liver-seg evaluate found/ segmentations/ --truth-labels lits -o scores",
    "liver-seg evaluate build/training/mine/best.pt my.yaml --part testing",
)


def command(
    found: Annotated[
        Path, typer.Argument(metavar="FOUND", help="Labels, a folder of them, a checkpoint or a folder of models.")
    ],
    truth: Annotated[
        Path,
        typer.Argument(metavar="TRUTH", help="The true labels likewise; for a network, a recipe."),
    ],
    whose: Whose = None,
    truth_whose: Annotated[
        str | None,
        typer.Option(
            "--truth-labels",
            metavar="TOOL",
            help=f"Which tool made the true labels: {CHOICES}.",
            show_default="what the file says, or ours",
            autocompletion=lambda: list(SCHEMES),
            rich_help_panel=INPUT,
        ),
    ] = None,
    liver_alone: LiverAlone = False,
    with_background: WithBackground = False,
    tolerance_mm: ToleranceMm = 2.0,
    part: Annotated[
        str,
        typer.Option(
            "--part", metavar="PART", help="Of the recipe: training, validation or testing.", rich_help_panel=INPUT
        ),
    ] = "testing",
    variant: Annotated[
        str | None,
        typer.Option("--variant", metavar="NAME", help="Which, where the recipe has several.", rich_help_panel=INPUT),
    ] = None,
    cache: Annotated[
        Path, typer.Option("--cache", metavar="DIR", help="Where a recipe's cases are kept.", rich_help_panel=INPUT)
    ] = Path("build/phantoms"),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for files; made where missing.", rich_help_panel=OUTPUT
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Score labels against the truth: overlap, surfaces, lesions, vessel centerlines.

    In folders, cases pair by name: a file for each case, or a folder for each case with a file labels.* in it. Scored
    are the structures that the truth of any case speaks about, vessels only inside the organ. volume_similarity is what
    paper 1 prints as VOE (equation 14). A checkpoint is judged on the grid that it works on, a folder of models on
    whole CTs, as on the robot, both on the data of a recipe; phantoms of the part testing are seeds that no recipe may
    name. With -o also writes scores.csv (every figure of every case) and scores.json.
    """
    from liver_seg_ros.cli.console import print_json, print_tables, print_written
    from liver_seg_ros.cli.evaluation_tables import cases_table, summary_tables
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.evaluation.case_scores import Definitions
    from liver_seg_ros.files.scores import scores_to_dict, write_scores_csv, write_scores_json
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.progress import Stages

    definitions = Definitions(not liver_alone, with_background, tolerance_mm)
    place = None if output is None else ResultFolder(output, "evaluate", NAMES, (found, truth, cache), overwrite)
    without_truth: Sequence[str] = ()
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        if truth.suffix in RECIPE_SUFFIXES:
            from liver_seg_ros.cli.network_scores import scores_of_network

            with stages.stage("score") as done:
                scores = scores_of_network(found, truth, variant, part, cache, definitions, done)
        else:
            scores, without_truth = _scores_of_labels(found, truth, (whose, truth_whose), definitions, stages)
        if place is not None:
            with place.filled() as folder:
                write_scores_csv(folder / NAMES[0], scores)
                write_scores_json(folder / NAMES[1], scores)
    if as_json:
        print_json({"found": str(found), "truth": str(truth), **scores_to_dict(scores)})
        return
    if not (quiet and output is not None):
        notes = [f"Found, but without a truth: {', '.join(without_truth)}."] if without_truth else []
        print_tables(found, [*summary_tables(scores), *cases_table(scores)], notes, most_rows=20)
    if output is not None and not quiet:
        print_written(output, NAMES)


def _scores_of_labels(
    found: Path, truth: Path, tools: tuple[str | None, str | None], definitions: Definitions, stages: Stages
) -> tuple[list[CaseScores], Sequence[str]]:
    """Of each pair of files, and the names of those that have no truth."""
    from liver_seg_ros.evaluation.case_scores import score_case
    from liver_seg_ros.files.label_pairs import label_pairs
    from liver_seg_ros.files.label_sources import find_labels_in
    from liver_seg_ros.labels import SEGMENTED
    from liver_seg_ros.truth import as_truth

    whose, truth_whose = tools

    def judged(path: Path, true: LabelVolume) -> LabelVolume:
        answer = find_labels_in(path, whose, true.geometry)
        return as_truth(answer, str(path)).labels if answer.labels.array.any() else answer.labels

    pairs, without_truth = label_pairs(found, truth)
    spoken = set()
    with stages.stage("read") as done:
        for number, pair in enumerate(pairs):
            done(number / len(pairs))
            spoken |= {*as_truth(find_labels_in(pair.truth, truth_whose), str(pair.truth)).structures}
    structures = [structure for structure in SEGMENTED if structure in spoken]
    scores = []
    with stages.stage("score") as done:
        for number, pair in enumerate(pairs):
            done(number / len(pairs))
            true = as_truth(find_labels_in(pair.truth, truth_whose), str(pair.truth)).labels
            scores.append(score_case(pair.case, judged(pair.found, true), true, structures, definitions))
    return scores, without_truth
