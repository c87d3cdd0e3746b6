"""Trains one network: `python -m liver_seg_ros.training.train --recipe config/training/segmenter.yaml --output ...`.

Goes on where an earlier run with the same output ended. Cases must exist (see `generate`); more may land meanwhile.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch

from liver_seg_ros.outputs.folder import check_folder
from liver_seg_ros.training.cases import case_folder
from liver_seg_ros.training.command import run_command
from liver_seg_ros.training.generate import DEFAULT_CACHE
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.recipe import read_recipe
from liver_seg_ros.training.trainer import Trainer


def main(arguments: list[str] | None = None) -> None:
    """The command. Raises `InputError` where the recipe is at fault or cases are missing."""
    parser = argparse.ArgumentParser(prog="python -m liver_seg_ros.training.train", description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True, help="config/training/<name>.yaml")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of checkpoint.pt, e.g. build/training/segmenter"
    )
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where cases are kept (%(default)s)")
    parser.add_argument("--max-minutes", type=float, default=math.inf, help="end after this time, schedule included")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all cores)")
    options = parser.parse_args(arguments)
    if not options.max_minutes > 0:
        parser.error("--max-minutes must be above 0")
    check_folder(options.output, "--output")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    recipe = read_recipe(options.recipe)
    folder = case_folder(options.cache, recipe)
    training = PhantomDataset(folder, range(*recipe.data.training_seeds), recipe)
    validation = PhantomDataset(folder, range(*recipe.data.validation_seeds), recipe)
    Trainer(recipe, options.output, training, validation.cases, options.max_minutes).run()


if __name__ == "__main__":
    sys.exit(run_command(main))
