# SPDX-License-Identifier: Apache-2.0
"""Trains one network: `python -m liver_seg_ros.training.train --recipe config/training/segmenter.yaml --output ...`.

Goes on where an earlier run with the same output ended. Cases must exist (see `generate`); more may land meanwhile.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from liver_seg_ros.outputs.folder import check_folder
from liver_seg_ros.training.case_dataset import CaseDataset
from liver_seg_ros.training.cases import Case, case_folder
from liver_seg_ros.training.command import run_command
from liver_seg_ros.training.generate import DEFAULT_CACHE
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.recipe import Recipe, read_recipe
from liver_seg_ros.training.source_cases import source_cases
from liver_seg_ros.training.source_dataset import SourceDataset
from liver_seg_ros.training.sources.about import PHANTOMS
from liver_seg_ros.training.sources.subject import TRAINING, VALIDATION
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
    training, validation = _cases(recipe, options.cache)
    Trainer(recipe, options.output, training, validation, options.max_minutes).run()


def _cases(recipe: Recipe, cache: Path) -> tuple[CaseDataset, Mapping[int, Case]]:
    """What is trained on, and what is validated on: of a data set whose split has no such part, nothing."""
    if recipe.data.source == PHANTOMS.name:
        folder = case_folder(cache, recipe)
        seeds, others = recipe.data.seeds_of_phantoms
        return PhantomDataset(folder, seeds, recipe), PhantomDataset(folder, others, recipe).cases
    cases = source_cases(recipe, cache)
    training = SourceDataset(cases, TRAINING)
    has_validation = bool(cases.division.parts[VALIDATION])
    return training, SourceDataset(cases, VALIDATION).cases if has_validation else {}


if __name__ == "__main__":
    sys.exit(run_command(main))
