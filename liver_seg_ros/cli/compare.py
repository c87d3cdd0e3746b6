# SPDX-License-Identifier: Apache-2.0
"""`liver-seg compare`: several networks under one budget, their mean and spread, the papers' figures beside them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.help import INPUT, OUTPUT
from liver_seg_ros.cli.options import Debug, Json, Overwrite, Quiet, Verbose, whole_numbers

NAMES = ("results.md", "results.csv")

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
    deviation over the seeds, and what the papers print of these networks, labelled as theirs) and results.csv. What is
    trained already under the folder is not trained again.
    """
    from liver_seg_ros.cli.console import print_json, print_written
    from liver_seg_ros.extras import need
    from liver_seg_ros.outputs.folder import ResultFolder

    need("train", "a training")
    from liver_seg_ros.training.command import log_steps
    from liver_seg_ros.training.comparison import Budget, compare
    from liver_seg_ros.training.comparison_report import write_comparison_csv, write_comparison_markdown
    from liver_seg_ros.training.variants import choose, read_recipes

    place = ResultFolder(output, "compare", NAMES, (*recipes, cache), overwrite)
    named = choose([read_recipes(path) for path in recipes], only)
    budget = Budget(whole_numbers(seeds), steps, max_minutes)
    log_steps(threads, quiet)
    runs = compare(named, output / "trainings", cache, budget, part)
    with place.filled() as folder:
        write_comparison_markdown(folder / NAMES[0], title, named, runs, budget, part)
        write_comparison_csv(folder / NAMES[1], runs)
    if as_json:
        trained = [{"recipe": run.variant, "seed": run.seed, "scores": run.scores} for run in runs]
        print_json({"output": str(output), "part": part, "trainings": trained})
    elif not quiet:
        print_written(output, NAMES)
