# SPDX-License-Identifier: Apache-2.0
"""`liver-seg compare`: several networks under one budget, their mean and spread, the papers' figures beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liver_seg_ros.cli.help import INPUT, OUTPUT
from liver_seg_ros.cli.options import Debug, Json, Overwrite, Quiet, Verbose, whole_numbers
from liver_seg_ros.cli.scoring_options import SCORING, LiverAlone, ToleranceMm, WithBackground

if TYPE_CHECKING:
    from liver_seg_ros.training.comparison import Budget, Run
    from liver_seg_ros.training.recipe import Recipe

NAMES = ("results.md", "results.csv", "precision_recall.csv", "dice.csv")
#: Drawn where the extra [pages] is installed -> what they show.
PICTURES = {
    "precision_recall.png": "Precision over recall on the judged cases, mean over the seeds",
    "dice.png": "Dice on the validation cases over the training, mean over the seeds",
}

EXAMPLES = (
    "liver-seg compare config/training/comparison.yaml --seeds 0,1,2 -o compared",
    "liver-seg compare a.yaml b.yaml --steps 500 -o compared",
)

BUDGET = "Budget"


def command(
    recipes: Annotated[
        list[Path], typer.Argument(metavar="RECIPE...", help="Recipes, or files of several variants each.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for results and trainings.", rich_help_panel=OUTPUT),
    ],
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="N,N", help="Each is a training.", rich_help_panel=BUDGET)
    ] = "0",
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            metavar="N",
            min=1,
            help="Of every training.",
            show_default="the recipe's",
            rich_help_panel=BUDGET,
        ),
    ] = None,
    max_minutes: Annotated[
        float,
        typer.Option("--max-minutes", metavar="MIN", help="Of every training.", rich_help_panel=BUDGET),
    ] = math.inf,
    part: Annotated[
        str,
        typer.Option(
            "--part", metavar="PART", help="Judged on: training, validation or testing.", rich_help_panel=INPUT
        ),
    ] = "testing",
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="A,B", help="These variants alone.", rich_help_panel=INPUT),
    ] = None,
    liver_alone: LiverAlone = False,
    with_background: WithBackground = False,
    surfaces: Annotated[
        bool,
        typer.Option(
            "--surfaces", help="Score surfaces, lesions and centerlines too, which takes long.", rich_help_panel=SCORING
        ),
    ] = False,
    tolerance_mm: ToleranceMm = 2.0,
    cache: Annotated[
        Path, typer.Option("--cache", metavar="DIR", help="Where cases are kept.", rich_help_panel=INPUT)
    ] = Path("build/phantoms"),
    threads: Annotated[int | None, typer.Option("--threads", metavar="N", min=1, help="CPU threads.")] = None,
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="Of results.md.")] = "Results",
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Train several networks under one budget and compare them.

    Each recipe or variant is trained with each seed and judged on the same cases. Writes results.md (mean and standard
    deviation over the seeds of what the networks' papers score, times and sizes, and what the papers print, labelled as
    theirs), results.csv with every figure, precision_recall.csv and dice.csv (Dice over the training), and of these two
    a picture each where the extra [pages] is installed. What is trained already under the folder is not trained again.
    """
    from liver_seg_ros.cli.console import print_json, print_written
    from liver_seg_ros.extras import need
    from liver_seg_ros.files.scores import plain_figure
    from liver_seg_ros.outputs.folder import ResultFolder

    need("train", "a training")
    from liver_seg_ros.evaluation.case_scores import Definitions
    from liver_seg_ros.training.command import log_steps
    from liver_seg_ros.training.comparison import Budget, compare
    from liver_seg_ros.training.variants import choose, read_recipes

    place = ResultFolder(output, "compare", (*NAMES, *PICTURES), (*recipes, cache), overwrite)
    named = choose([read_recipes(path) for path in recipes], only)
    budget = Budget(whole_numbers(seeds), steps, max_minutes)
    log_steps(threads, quiet)
    definitions = Definitions(not liver_alone, with_background, tolerance_mm)
    runs = compare(named, output / "trainings", cache, budget, part, definitions, overlap_alone=not surfaces)
    with place.filled() as folder:
        written = _write(folder, title, named, runs, budget, part)
    if as_json:
        trained = [
            {
                "recipe": run.variant,
                "seed": run.seed,
                "scores": {s: {m: plain_figure(v) for m, v in metrics.items()} for s, metrics in run.scores.items()},
            }
            for run in runs
        ]
        print_json({"output": str(output), "part": part, "trainings": trained})
    elif not quiet:
        print_written(output, written)


def _write(
    folder: Path, title: str, recipes: Mapping[str, Recipe], runs: Sequence[Run], budget: Budget, part: str
) -> list[str]:
    """Files into `folder`; their names."""
    from liver_seg_ros.training.comparison_curves import write_dice_csv, write_precision_recall_csv
    from liver_seg_ros.training.comparison_report import write_comparison_csv, write_comparison_markdown

    page, figures, precision_recall, dice = NAMES
    pictures = {name: shows for name, shows in PICTURES.items() if _is_drawn(folder / name, runs)}
    write_comparison_markdown(folder / page, title, recipes, runs, budget, part, pictures)
    write_comparison_csv(folder / figures, runs)
    write_precision_recall_csv(folder / precision_recall, runs)
    write_dice_csv(folder / dice, runs)
    return [*NAMES, *pictures]


def _is_drawn(path: Path, runs: Sequence[Run]) -> bool:
    """Draw the picture that `path` is called after, where the extra [pages] is installed and there is what to draw."""
    from importlib.util import find_spec

    if find_spec("pyvista") is None:
        return False
    from liver_seg_ros.training.comparison_pictures import draw_dice, draw_precision_recall

    return (draw_dice if path.stem == "dice" else draw_precision_recall)(path, runs)
