# SPDX-License-Identifier: Apache-2.0
"""`liver-seg train`: from a recipe to a trained network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.help import INPUT
from liver_seg_ros.cli.options import Debug, Json, OutputFolder, Quiet, Verbose

EXAMPLES = (
    "liver-seg train my.yaml -o build/training/mine",
    "liver-seg train config/training/paper2_ltvs.yaml --variant ucanet -o build/training/ucanet",
)

HARDWARE = "Hardware"


def command(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, e.g. of config/training.")],
    output: OutputFolder,
    variant: Annotated[
        str | None,
        typer.Option("--variant", metavar="NAME", help="Which, where the recipe has several.", rich_help_panel=INPUT),
    ] = None,
    cache: Annotated[
        Path, typer.Option("--cache", metavar="DIR", help="Where cases are kept.", rich_help_panel=INPUT)
    ] = Path("build/phantoms"),
    max_minutes: Annotated[
        float, typer.Option("--max-minutes", metavar="MIN", help="End after this time, schedule included.")
    ] = math.inf,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="CPU threads.", rich_help_panel=HARDWARE)
    ] = None,
    accelerator: Annotated[
        str, typer.Option("--accelerator", metavar="NAME", help="auto, cpu or gpu.", rich_help_panel=HARDWARE)
    ] = "auto",
    devices: Annotated[
        int,
        typer.Option(
            "--devices", metavar="N", min=1, help="GPUs, or processes, that share a batch.", rich_help_panel=HARDWARE
        ),
    ] = 1,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", metavar="N", min=0, help="Processes that make batches beside.", rich_help_panel=HARDWARE
        ),
    ] = 0,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write curves for TensorBoard into curves/.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Train the network of a recipe: its cases are made where they are missing, then it is trained.

    Goes on where an earlier run with the same output ended. Writes checkpoint.pt, the last state, and best.pt, that of
    the highest Dice on the validation cases.
    """
    from liver_seg_ros.cli.console import print_json
    from liver_seg_ros.extras import need
    from liver_seg_ros.outputs.folder import check_folder

    need("train", "a training")
    from liver_seg_ros.training.command import log_steps
    from liver_seg_ros.training.variants import choose_recipe

    if not max_minutes > 0:
        raise typer.BadParameter("--max-minutes must be above 0")
    check_folder(output, "--output")
    chosen = choose_recipe(recipe, variant)
    log_steps(threads, quiet)
    from liver_seg_ros.training.comparison import make_cases
    from liver_seg_ros.training.hardware import Hardware
    from liver_seg_ros.training.recipe_cases import training_and_validation
    from liver_seg_ros.training.trainer import Trainer

    make_cases(chosen, cache)
    training, validation = training_and_validation(chosen, cache)
    hardware = Hardware(accelerator, devices, workers, tensorboard)
    done = Trainer(chosen, output, training, validation, max_minutes, hardware).run()
    if as_json:
        print_json({"output": str(output), "step": done.step, "seconds": done.seconds, "scores": done.scores})
